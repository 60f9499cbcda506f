"""Several runs for one question: what `seeds.json` and `sweep.json` hold."""

from dataclasses import dataclass
from typing import Any

from aspire_llm.rundir.files import Document
from aspire_llm.rundir.typed import typed_document
from aspire_llm.selection import SeedSummary


@dataclass(frozen=True, slots=True)
class SweepFigures:
    """The figures of one method at one value; None where the answers do not define one."""

    accuracy: float
    auroc: float | None
    auacc: float
    auroc_ci: tuple[float, float] | None
    auacc_ci: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One value of a setting, and the figures by method."""

    value: Any
    methods: dict[str, SweepFigures]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One setting tried at several values.

    Attributes:
        parameter: The key of the configuration.
        label: How people call it.
        points: In the order in which they were asked for.
    """

    parameter: str
    label: str
    points: tuple[SweepPoint, ...]


@dataclass(frozen=True, slots=True)
class Sweeps:
    """The content of `sweep.json`."""

    sweeps: tuple[Sweep, ...]


SEEDS: Document[SeedSummary] = typed_document("seeds.json", "summary over seeds", SeedSummary)
SWEEPS: Document[Sweeps] = typed_document("sweep.json", "sweep", Sweeps)
