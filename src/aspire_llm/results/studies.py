"""Several runs for one question: what `seeds.json` and `sweep.json` hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aspire_llm.rundir.files import Document
from aspire_llm.selection import SeedSummary


@dataclass(frozen=True, slots=True)
class SweepFigures:
    """The figures of one method at one value; None where the answers do not define one."""

    accuracy: float
    auroc: float | None
    auacc: float
    auroc_ci: tuple[float, float] | None
    auacc_ci: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Its part of `sweep.json`."""
        return {
            "accuracy": self.accuracy,
            "auroc": self.auroc,
            "auacc": self.auacc,
            "auroc_ci": self.auroc_ci,
            "auacc_ci": self.auacc_ci,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SweepFigures":
        """The record that `to_json` wrote."""
        auroc_ci, auacc_ci = (
            None if bounds is None else (float(bounds[0]), float(bounds[1]))
            for bounds in (content["auroc_ci"], content["auacc_ci"])
        )
        auroc = None if content["auroc"] is None else float(content["auroc"])
        return cls(float(content["accuracy"]), auroc, float(content["auacc"]), auroc_ci, auacc_ci)


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

    def to_json(self) -> dict[str, Any]:
        """Its part of `sweep.json`."""
        points = [
            {"value": point.value, "methods": {name: own.to_json() for name, own in point.methods.items()}}
            for point in self.points
        ]
        return {"parameter": self.parameter, "label": self.label, "points": points}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Sweep":
        """The record that `to_json` wrote."""
        points = (
            SweepPoint(point["value"], {name: SweepFigures.from_json(own) for name, own in point["methods"].items()})
            for point in content["points"]
        )
        return cls(content["parameter"], content["label"], tuple(points))


SEEDS = Document("seeds.json", "summary over seeds", SeedSummary.to_json, SeedSummary.from_json)
SWEEPS: Document[tuple[Sweep, ...]] = Document(
    "sweep.json",
    "sweep",
    lambda sweeps: {"sweeps": [sweep.to_json() for sweep in sweeps]},
    lambda content: tuple(Sweep.from_json(sweep) for sweep in content["sweeps"]),
)
