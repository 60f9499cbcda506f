"""The selection methods as people know them: name, family, and the style in which every figure draws them.

A method ending in ``_untuned`` is the same method on the answers of the model before tuning: it shares the style and
the switch of its twin, and stands in figures and columns of its own.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

REFERENCE = "aspire"
BASELINE = "perplexity"
_UNTUNED_SUFFIX = "_untuned"

# Lengths of dash and gap, so that methods stay apart without colour too.
_DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2.5), (1.5, 2), (7, 2, 1.5, 2), (3, 1.5))
SHADES = 3


class Family(StrEnum):
    """Methods that draw on the same evidence; the members of one share a hue."""

    ASPIRE = "aspire"
    LIKELIHOOD = "likelihood"
    SAMPLING = "sampling"
    ASKING = "asking"
    SUPERVISED = "supervised"
    OTHER = "other"

    @property
    def heading(self) -> str:
        """The heading over its methods."""
        return _TITLES[self]


class Answers(StrEnum):
    """Whose answers a method scores; figures of different answers are never compared."""

    TUNED = "tuned"
    UNTUNED = "untuned"


_TITLES = {
    Family.ASPIRE: "ASPIRE and its variants",
    Family.LIKELIHOOD: "Likelihood of the answer",
    Family.SAMPLING: "Agreement of sampled answers",
    Family.ASKING: "Asking a model",
    Family.SUPERVISED: "Trained on labelled answers",
    Family.OTHER: "Other methods",
}
# In the order of appearance.
_LABELS = {
    Family.ASPIRE: {"aspire": "ASPIRE", "aspire_readout": "ASPIRE, readout", "aspire_alpha": "ASPIRE, tuned α"},
    Family.LIKELIHOOD: {"perplexity": "Perplexity", "sequence_log_probability": "Sequence log-probability"},
    Family.SAMPLING: {
        "predictive_entropy": "Predictive entropy",
        "semantic_entropy": "Semantic entropy",
        "semantic_entropy_lexical": "Semantic entropy, lexical",
        "lexical_similarity": "Lexical similarity",
        "sar": "SAR",
    },
    Family.ASKING: {
        "self_evaluation": "Self-evaluation alone",
        "self_eval_prompt": "Self-evaluation prompt",
        "p_true": "P(True)",
        "cross_model": "Cross-model",
    },
    Family.SUPERVISED: {
        "hidden_state_probe": "Hidden-state probe",
        "likelihood_features": "Likelihood features",
        "ensemble": "Ensemble",
    },
}
_PLACES = {name: (family, place) for family, labels in _LABELS.items() for place, name in enumerate(labels)}


@dataclass(frozen=True, slots=True)
class MethodStyle:
    """How a method is drawn, in figures and legends alike.

    Attributes:
        series: What its switch and its lines are known by on the page; letters, digits, ``_`` and ``-`` only.
        role: Its colour, a key of the palette.
        dashes: Lengths of dash and gap; empty for a solid line.
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


def base_name(name: str) -> str:
    """The method without regard to whose answers it scores."""
    return name.removesuffix(_UNTUNED_SUFFIX)


def answers_of(name: str, figures: Mapping[str, Any] | None = None) -> Answers:
    """Whose answers a method scores, by its entry in `metrics.json`, or by its name where the entry does not say."""
    default = Answers.UNTUNED if name.endswith(_UNTUNED_SUFFIX) else Answers.TUNED
    return Answers((figures or {}).get("answers") or default)


def family_of(name: str) -> Family:
    """The family of a method; `OTHER` for an unknown one."""
    return _PLACES[base_name(name)][0] if base_name(name) in _PLACES else Family.OTHER


def method_label(name: str) -> str:
    """The human name of a method; an unknown method keeps its own name, in words."""
    base = base_name(name)
    label = _LABELS.get(family_of(name), {}).get(base, base.replace("_", " "))
    return label if base == name else f"{label}, untuned"


def method_style(name: str) -> MethodStyle:
    """The style of a method, the same in every figure and for its twin before tuning."""
    base = base_name(name)
    family, place = _PLACES.get(base, (Family.OTHER, zlib.crc32(base.encode())))
    return MethodStyle(
        label=method_label(base),
        series=re.sub(r"[^\w-]", "-", base, flags=re.ASCII),
        role=f"{family}-{place % SHADES + 1}",
        dashes=_DASHES[place % len(_DASHES)],
        width=2.6 if base == REFERENCE else 1.5,
    )


def in_order(names: Iterable[str]) -> list[str]:
    """Names by family, then by place in the family; unknown methods last, by name."""
    known = list(_PLACES)

    def place(name: str) -> tuple[int, str]:
        base = base_name(name)
        return (known.index(base) if base in _PLACES else len(known), name)

    return sorted(names, key=place)


def best_rival(methods: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The method with the highest AUROC on the tuned answers outside ASPIRE's family; None where none has one."""
    rivals = {
        name: float(figures["auroc"])
        for name, figures in methods.items()
        if figures.get("auroc") is not None
        and answers_of(name, figures) is Answers.TUNED
        and family_of(name) is not Family.ASPIRE
    }
    return max(in_order(rivals), key=rivals.__getitem__) if rivals else None
