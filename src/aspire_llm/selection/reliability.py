"""How far a confidence can be believed: calibration errors and the Brier score, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aspire_llm.records.fields import field, number
from aspire_llm.selection import metrics
from aspire_llm.selection.bootstrap import Interval, group_weights, percentile_interval
from aspire_llm.selection.outcomes import Undefined, figure_to_json, interval_from_json

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConfidenceMetrics:
    """Of the confidence in n answers, 0 to 1; lower is better.

    Attributes:
        ece: Expected calibration error in ten equally wide bins.
        adaptive_ece: The same in ten bins of about as many answers each.
        brier: Mean squared distance from what is the case.
        ece_ci, adaptive_ece_ci, brier_ci: 95% intervals by bootstrap over groups, undefined with a single group. A
            resample adds its own noise to a calibration error, so the intervals of these lie a little too high.
    """

    ece: float
    ece_ci: Interval | Undefined
    adaptive_ece: float
    adaptive_ece_ci: Interval | Undefined
    brier: float
    brier_ci: Interval | Undefined

    @classmethod
    def of(
        cls, correct: Sequence[bool], confidence: Sequence[float], groups: Sequence[str], *, seed: int
    ) -> "ConfidenceMetrics":
        """From answers, what was said of them, and the groups of their questions.

        Raises:
            DataError: A confidence is no probability, or there is not one for every answer.
        """
        brier = metrics.brier(correct, confidence)  # checks both
        right, said = np.asarray(correct, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
        bins = metrics.equal_width_bins(said), metrics.equal_mass_bins(said)
        found: tuple[Interval | Undefined, ...]
        if len(set(groups)) < 2:
            found = (Undefined("all answers stem from one group; an interval takes at least two"),) * 3
        else:
            errors = np.stack([_resampled(right, said, own, groups, seed) for own in bins])
            squared = np.concatenate([w @ (said - right) ** 2 / w.sum(axis=1) for w in group_weights(groups, seed)])
            found = tuple(map(percentile_interval, [*errors, squared]))
        ece, adaptive = (float(np.abs(np.bincount(own, right - said)).sum() / len(right)) for own in bins)
        return cls(ece, found[0], adaptive, found[1], brier, found[2])

    def to_json(self) -> dict[str, Any]:
        """Named values; an undefined interval is null with a reason beside it."""
        content: dict[str, Any] = {}
        for own in fields(self):
            content |= figure_to_json(own.name, getattr(self, own.name))
        return content

    @classmethod
    def from_json(cls, content: Any) -> "ConfidenceMetrics":
        """The record that `to_json` wrote."""
        figures = {own.name: own.name.endswith("_ci") for own in fields(cls)}
        values: dict[str, Any] = {
            name: interval_from_json(name, content) if is_interval else field(content, name, number)
            for name, is_interval in figures.items()
        }
        return cls(**values)


def _resampled(right: Floats, said: Floats, bins: NDArray[np.int64], groups: Sequence[str], seed: int) -> Floats:
    """The calibration error on every resample, float[r]."""
    gaps = np.zeros((len(right), int(bins.max()) + 1))
    gaps[np.arange(len(right)), bins] = right - said
    return np.concatenate([np.abs(w @ gaps).sum(axis=1) / w.sum(axis=1) for w in group_weights(groups, seed)])
