"""How the methods are drawn, in figures and legends alike; their names and families are the catalogue's.

A method on the answers of the model before tuning shares the style and the switch of its twin, and stands in figures
of its own.
"""

import re
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

from aspire_llm.methods.catalogue import (
    METHODS,
    PROPOSED,
    Family,
    base_name,
    family_of,
    in_order,
    method_label,
)
from aspire_llm.report.palette import SHADES

# Lengths of dash and gap, so that methods stay apart without colour too.
_DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2.5), (1.5, 2), (7, 2, 1.5, 2), (3, 1.5))


@dataclass(frozen=True, slots=True)
class MethodStyle:
    """How a method is drawn.

    Attributes:
        label: What people call it.
        series: What its switch and its lines are known by on the page; letters, digits, ``_`` and ``-`` only.
        role: Its colour, a key of the palette.
        dashes: Lengths of dash and gap; empty for a solid line.
        width: Of its line, in points.
    """

    label: str
    series: str
    role: str
    dashes: tuple[float, ...]
    width: float

    @property
    def dash_array(self) -> str:
        """The dashes as the value of SVG's stroke-dasharray."""
        return " ".join(str(length) for length in self.dashes) or "none"


@dataclass(frozen=True, slots=True)
class Legend:
    """The switches of the methods, family by family; `shown` holds the series that are on at first."""

    families: tuple[tuple[Family, tuple[MethodStyle, ...]], ...]
    shown: frozenset[str]


def method_style(name: str) -> MethodStyle:
    """The style of a method, the same in every figure and for its twin before tuning."""
    base, family = base_name(name), family_of(name)
    relatives = [own.name for own in METHODS.values() if own.family is family]
    place = relatives.index(base) if base in relatives else zlib.crc32(base.encode())
    return MethodStyle(
        label=method_label(base),
        series=re.sub(r"[^\w-]", "-", base, flags=re.ASCII),
        role=f"{family}-{place % SHADES + 1}",
        dashes=_DASHES[place % len(_DASHES)],
        width=2.6 if base in PROPOSED else 1.5,
    )


def legend(names: Iterable[str], first: Collection[str | None]) -> Legend:
    """A switch for each of the methods; those named `first` are on at first, or else all."""
    bases = in_order({base_name(name) for name in names})
    shown = [name for name in bases if name in first] or bases
    return Legend(
        tuple((family, tuple(map(method_style, own))) for family, own in groupby(bases, family_of)),
        frozenset(method_style(name).series for name in shown),
    )
