"""What rules come to on questions that had no part in them, side by side: paired intervals by bootstrap over groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aspire_llm.selection.bootstrap import Interval, group_weights, percentile_interval
from aspire_llm.selection.outcomes import Undefined
from aspire_llm.selection.risk_tests import JudgedScores

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Share:
    """A share, or a difference of two.

    Attributes:
        value: None where its whole is nothing.
        draws: The same on resamples of the groups, float[r], NaN where the whole is nothing; empty where there is one
            group.
    """

    value: float | None
    draws: Floats

    @property
    def ci(self) -> Interval | Undefined:
        """The 95% interval."""
        return percentile_interval(self.draws[np.isfinite(self.draws)])

    def minus(self, other: "Share") -> "Share":
        """The paired difference; both must be of the same questions."""
        known = self.value is not None and other.value is not None
        return Share(self.value - other.value if known else None, self.draws - other.draws)  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Decided:
    """What a rule does with each of n questions.

    Attributes:
        weights: Of the questions, float[n]; each group weighs the same.
        given: The same where the question is answered, else 0.
        wrong: The same where that answer is wrong, else 0.
        groups: Of the questions.
    """

    weights: Floats
    given: Floats
    wrong: Floats
    groups: tuple[str, ...]

    @classmethod
    def at(cls, answers: JudgedScores, threshold: float | None) -> "Decided":
        """At a threshold; where there is none, nothing is answered."""
        at = np.array([np.inf if threshold is None else threshold])
        weights = answers.weights
        return cls(weights, weights * answers.given(at)[0], weights * answers.wrong(at)[0], answers.groups)

    @classmethod
    def pooled(cls, parts: Sequence["Decided"]) -> "Decided":
        """Of several runs; a group that stands in several is one group."""
        columns = ((own.weights, own.given, own.wrong) for own in parts)
        weights, given, wrong = (np.concatenate(own) for own in zip(*columns, strict=True))
        return cls(weights, given, wrong, tuple(group for own in parts for group in own.groups))

    def coverage(self, seed: int = 0) -> Share:
        """Share of the questions that are answered."""
        return _share(self.given, self.weights, self.groups, seed)

    def risk(self, seed: int = 0) -> Share:
        """Share of those answers that are wrong."""
        return _share(self.wrong, self.given, self.groups, seed)


def _share(parts: Floats, wholes: Floats, groups: tuple[str, ...], seed: int) -> Share:
    whole = float(wholes.sum())
    value = float(parts.sum()) / whole if whole else None
    if len(set(groups)) < 2:
        return Share(value, np.empty(0))
    part, total = (
        np.concatenate(sums)
        for sums in zip(*((own @ parts, own @ wholes) for own in group_weights(groups, seed)), strict=True)
    )
    return Share(value, np.divide(part, total, out=np.full_like(part, np.nan), where=total > 0.0))
