"""Two models, of which the larger is asked what the smaller withholds: one path of thresholds for both.

A question is answered by the small model if its score there is at least t₁, else by the large one if its score there is
at least t₂. Each model's scores are mapped to log-odds of a correct answer, and one level λ for both gives the pair
t₁(λ), t₂(λ). If those log-odds were exact, no other pair of the same risk would answer more: whatever is answered at a
level is as likely to be right as whatever is not. The maps are fitted on validation answers, so the path is settled
before any calibration label is seen, and certified as one threshold is (`risk_control`): the levels are walked from
strict to loose, and what is tested is the risk of all that the pair answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import DataError
from aspire_llm.selection.confidence import PlattCalibration, fit_calibration
from aspire_llm.selection.risk_tests import JudgedScores

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_MOST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class LogOdds:
    """log P(correct) / P(wrong) = slope·score + intercept, slope ≥ 0."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, answers: JudgedScores) -> "LogOdds":
        """Platt's curve; the same for all answers where their scores say nothing of them, by the rule of succession.

        Args:
            answers: That calibrate nothing (the validation split); those withheld whatever the threshold are left out.
        """
        kept = np.isfinite(answers.scores)
        right = answers.correct[kept]
        fitted = fit_calibration(answers.scores[kept].tolist(), right.tolist())
        if isinstance(fitted, PlattCalibration):
            return cls(fitted.slope, fitted.intercept)
        return cls(0.0, float(np.log((right.sum() + 1) / ((~right).sum() + 1))))

    def levels(self, scores: Floats) -> Floats:
        """Of scores, float[n]; −inf where an answer is withheld whatever the threshold."""
        levels = self.slope * np.where(np.isfinite(scores), scores, 0.0) + self.intercept
        found: Floats = np.where(np.isfinite(scores), levels, -np.inf)
        return found

    def thresholds(self, levels: Floats) -> Floats:
        """The least score of each level, float[t], finite."""
        if self.slope == 0.0:
            return np.where(levels <= self.intercept, -_MOST, _MOST)
        with np.errstate(over="ignore"):
            return np.clip((levels - self.intercept) / self.slope, -_MOST, _MOST)


@dataclass(frozen=True, slots=True)
class ThresholdPath:
    """From one level, in log-odds, to the thresholds of both models."""

    small: LogOdds
    large: LogOdds

    @classmethod
    def fit(cls, small: JudgedScores, large: JudgedScores) -> "ThresholdPath":
        """The path of two models, on their answers to validation questions."""
        return cls(LogOdds.fit(small), LogOdds.fit(large))

    def thresholds(self, level: float) -> tuple[float, float]:
        """t₁ and t₂ at a level."""
        small, large = (own.thresholds(np.array([level]))[0] for own in (self.small, self.large))
        return float(small), float(large)


@dataclass(frozen=True)
class JudgedPairs(JudgedScores):
    """Answers of both models to the same questions; a threshold is a level of the path.

    `scores` is the level from which on a question is answered by either, `correct` whether either is right.

    Attributes:
        path: Of both.
        small, large: Their answers, in the same order.
    """

    path: ThresholdPath
    small: JudgedScores
    large: JudgedScores

    @classmethod
    def along(cls, path: ThresholdPath, small: JudgedScores, large: JudgedScores) -> "JudgedPairs":
        """Check and keep.

        Raises:
            DataError: They are of different questions.
        """
        if small.groups != large.groups:
            raise DataError(
                f"{len(small.groups)} and {len(large.groups)} answers of two models; need the same questions"
            )
        levels = np.maximum(path.small.levels(small.scores), path.large.levels(large.scores))
        return cls(levels, small.correct | large.correct, small.groups, path, small, large)

    def by_small(self, levels: Floats) -> Bools:
        """Whether the small model answers at each level, bool[t, n]; the large one is asked where not."""
        return self.small.given(self.path.small.thresholds(levels))

    def given(self, levels: Floats) -> Bools:
        return self.by_small(levels) | self.large.given(self.path.large.thresholds(levels))

    def wrong(self, levels: Floats) -> Bools:
        by_large = self.large.wrong(self.path.large.thresholds(levels)) & ~self.by_small(levels)
        return self.small.wrong(self.path.small.thresholds(levels)) | by_large

    def keeps(self, risk: float) -> float:
        small, large = self.path.small.levels(self.small.scores), self.path.large.levels(self.large.scores)
        wrong_small, wrong_large = (~own.correct * 1 for own in (self.small, self.large))
        passes = (large > small) & np.isfinite(small)  # from the large model to the small one, as levels fall
        levels = np.concatenate((self.scores, small[passes]))
        order = np.argsort(-levels, kind="stable")[: np.isfinite(levels).sum()]
        more = np.concatenate((np.ones_like(wrong_small), np.zeros(passes.sum(), dtype=np.int64)))
        worse = np.concatenate((np.where(large > small, wrong_large, wrong_small), (wrong_small - wrong_large)[passes]))
        answered, wrong = np.cumsum(more[order]), np.cumsum(worse[order])
        kept = (wrong <= risk * answered + 1e-9) & np.append(np.diff(levels[order]) < 0.0, True)[: len(order)]
        return float(answered[kept].max(initial=0) / len(self.scores))

    def taken(self, places: Ints, groups: Sequence[str]) -> "JudgedPairs":
        return JudgedPairs.along(self.path, self.small.taken(places, groups), self.large.taken(places, groups))

    def all_right(self) -> "JudgedPairs":
        return JudgedPairs.along(self.path, self.small.all_right(), self.large.all_right())
