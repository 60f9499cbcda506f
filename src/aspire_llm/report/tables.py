"""A table of figures, and how its cells read: the one form from which every writer writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TypeAlias

NOT_AVAILABLE = "–"


class Kind(StrEnum):
    """What a column holds, and so how its figures are shown."""

    TEXT = "text"
    PERCENT = "percent"  # a share from 0 to 1, shown in percent
    POINTS = "points"  # a difference of shares, shown in signed percentage points
    NUMBER = "number"  # anything else that is counted or measured


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and how sure it is.

    Attributes:
        value: None where the data do not define it.
        low, high: Bounds of its 95% interval; None where there is none.
        sd: Standard deviation over seeds, of which `value` is the mean; None for a figure of one run.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell as people read it: the figure, its small print (may be empty), whether it is the best."""

    text: str
    spread: str = ""
    is_best: bool = False


Cell: TypeAlias = str | Estimate | ShownCell | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: What a program calls it.
        title: What people call it.
        cells: One per row: words for text, estimates for all else; None is an empty cell of either.
        kind: What they hold.
        parts: Which of `Estimate`'s other figures it gives: ``low``, ``high``, ``sd``.
        marks_best: Whether the highest value is marked. Values that read the same are all marked, unless all do.
        heading: Of it and its neighbours on a page; empty for none.
        short: Its own title below that heading.
    """

    name: str
    title: str
    cells: Sequence[Cell]
    kind: Kind = Kind.TEXT
    parts: tuple[str, ...] = ()
    marks_best: bool = False
    heading: str = ""
    short: str = ""

    def shown(self) -> list[ShownCell]:
        """Its cells as people read them."""
        values = [cell.value for cell in self.cells if isinstance(cell, Estimate) and cell.value is not None]
        readings = {_shown_value(value, self.kind) for value in values}
        best = _shown_value(max(values), self.kind) if self.marks_best and len(readings) > 1 else None
        return [_shown_cell(cell, self.kind, best) for cell in self.cells]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of cells, the first of which names the rows.

    Attributes:
        name: Stem of its files.
        caption: What it shows, one sentence; empty where that is said elsewhere.
        columns: All of the same length.
        notes: What a reader must know to read it rightly, in sentences.
        sections: The heading over each row on a page, the same for neighbours; empty for no headings.
        highlighted: The name of the row that stands out on a page; empty for none.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    notes: Sequence[str] = ()
    sections: Sequence[str] = ()
    highlighted: str = ""

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """The cells, row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def shown_rows(self) -> list[tuple[ShownCell, ...]]:
        """The same as people read it."""
        return list(zip(*(column.shown() for column in self.columns), strict=True))

    @property
    def shown_sections(self) -> list[tuple[str, list[tuple[ShownCell, ...]]]]:
        """The same, in parts with the heading over each; one part without a heading where the table has none."""
        rows = zip(self.sections or [""] * len(self.rows), self.shown_rows, strict=True)
        return [(heading, [row for _, row in part]) for heading, part in groupby(rows, lambda row: row[0])]

    @property
    def headings(self) -> list[tuple[str, list[Column]]]:
        """Neighbouring columns with the heading that they share."""
        return [(heading, list(columns)) for heading, columns in groupby(self.columns, lambda column: column.heading)]


def percent(share: float) -> str:
    """A share in percent with one decimal, without the sign, e.g. ``81.2``."""
    return _shown_value(share, Kind.PERCENT)


def points(difference: float) -> str:
    """A difference of shares in signed percentage points, e.g. ``+1.8`` or ``−0.4``."""
    return _shown_value(difference, Kind.POINTS)


def _shown_cell(cell: Cell, kind: Kind, best: str | None) -> ShownCell:
    if isinstance(cell, ShownCell):
        return cell
    if isinstance(cell, str):
        return ShownCell(cell)
    if cell is None or cell.value is None:
        return ShownCell(NOT_AVAILABLE)
    text = _shown_value(cell.value, kind)
    if cell.low is not None and cell.high is not None:
        spread = f"[{_shown_value(cell.low, kind)}, {_shown_value(cell.high, kind)}]"
    else:
        spread = "" if cell.sd is None else f"± {_shown_value(cell.sd, kind).removeprefix('+')}"
    return ShownCell(text, spread, is_best=text == best)


def _shown_value(value: float, kind: Kind) -> str:
    # Adding zero makes of a −0.0, which rounding leaves, a plain one.
    match kind:
        case Kind.PERCENT:
            text = f"{round(100 * value, 1) + 0.0:.1f}"
        case Kind.POINTS:
            text = f"{round(100 * value, 1) + 0.0:+.1f}"
        case _:
            text = f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"
    return text.replace("-", "−")
