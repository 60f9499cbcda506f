"""Confidence: the selection score turned into a probability that the answer is correct.

The map is fitted on the calibration split, which no training stage has seen, and never falls as the score rises.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import DataError
from aspire_llm.records.fields import each, field, flag, natural, number, text
from aspire_llm.selection.folds import deal_groups
from aspire_llm.selection.logistic import expit, fit_logistic
from aspire_llm.selection.outcomes import Infeasible

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_ITEMS = 20
_NUM_FOLDS = 5


class CalibrationMethod(StrEnum):
    """How the score becomes a probability."""

    AUTO = "auto"  # whichever of the next two predicts held-out calibration answers better
    PLATT = "platt"  # a logistic curve: two parameters, for few items
    ISOTONIC = "isotonic"  # any non-decreasing map: for some hundred items and more
    UNIFORM = "uniform"  # all answers alike, where the calibration answers are all right or all wrong


@dataclass(frozen=True, slots=True)
class Calibration(ABC):
    """A fitted, non-decreasing map from the selection score to a probability.

    Attributes:
        num_items: Answers it was fitted on.
    """

    method: ClassVar[CalibrationMethod]
    num_items: int

    @abstractmethod
    def confidence(self, score: float) -> float:
        """P(the answer is correct) for a selection score (−inf allowed), 0 to 1."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The content of `calibration.json`."""

    @staticmethod
    def from_json(content: Any) -> "Calibration":
        """The calibration that `to_json` wrote."""
        num_items = field(content, "num_items", natural)
        match field(content, "method", text):
            case CalibrationMethod.PLATT:
                return PlattCalibration(num_items, field(content, "slope", number), field(content, "intercept", number))
            case CalibrationMethod.ISOTONIC:
                scores, confidences = (field(content, name, each(number)) for name in ("scores", "confidences"))
                return IsotonicCalibration(num_items, scores, confidences)
            case CalibrationMethod.UNIFORM:
                return UniformCalibration(num_items, field(content, "right", flag))
            case other:
                raise ValueError(f"the calibration method is {other!r}; known are {', '.join(CalibrationMethod)}")


@dataclass(frozen=True, slots=True)
class PlattCalibration(Calibration):
    """confidence = 1 / (1 + exp(−(slope·score + intercept))), slope ≥ 0 (Platt, 1999)."""

    method = CalibrationMethod.PLATT
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.slope < math.inf and math.isfinite(self.intercept)):
            raise ValueError(
                f"slope {self.slope} and intercept {self.intercept} must be finite, the slope not negative"
            )

    def confidence(self, score: float) -> float:
        # With slope 0 the score is absent, so that −inf leaves no NaN behind.
        return float(expit(np.asarray(self.intercept + (self.slope * score if self.slope else 0.0))))

    def to_json(self) -> dict[str, Any]:
        return {
            "method": str(self.method),
            "num_items": self.num_items,
            "slope": self.slope,
            "intercept": self.intercept,
        }


@dataclass(frozen=True, slots=True)
class IsotonicCalibration(Calibration):
    """Linear between knots (score, confidence), both non-decreasing; constant outside (Zadrozny & Elkan, 2002)."""

    method = CalibrationMethod.ISOTONIC
    scores: tuple[float, ...]
    confidences: tuple[float, ...]

    def __post_init__(self) -> None:
        knots = np.array([self.scores, self.confidences])
        if not (knots.size and np.isfinite(knots).all() and (np.diff(knots) >= 0.0).all()):
            raise ValueError("the knots of an isotonic calibration must be finite and rise")
        if knots[1, 0] < 0.0 or knots[1, -1] > 1.0:
            raise ValueError(f"confidences run from {knots[1, 0]} to {knots[1, -1]}; they must stay within [0, 1]")

    def confidence(self, score: float) -> float:
        return float(np.interp(score, self.scores, self.confidences))

    def to_json(self) -> dict[str, Any]:
        return {
            "method": str(self.method),
            "num_items": self.num_items,
            "scores": list(self.scores),
            "confidences": list(self.confidences),
        }


@dataclass(frozen=True, slots=True)
class UniformCalibration(Calibration):
    """The same confidence for every answer, because all n calibration answers were right, or all of them wrong.

    What tells right from wrong answers cannot be seen on one kind alone. Of the next answer, Laplace's rule of
    succession says P(correct) = (k + 1) / (n + 2), where k of n were right. Where none was, the decision rule withholds
    every answer, whatever its threshold.

    Attributes:
        right: Whether the calibration answers were right.
    """

    method = CalibrationMethod.UNIFORM
    right: bool

    def confidence(self, score: float) -> float:
        return ((self.num_items if self.right else 0) + 1) / (self.num_items + 2)

    def to_json(self) -> dict[str, Any]:
        return {"method": str(self.method), "num_items": self.num_items, "right": self.right}


def fit_calibration(
    scores: Sequence[float],
    correct: Sequence[bool],
    method: CalibrationMethod | str = CalibrationMethod.PLATT,
    *,
    groups: Sequence[str] | None = None,
) -> Calibration | Infeasible:
    """Fit confidence on the calibration split.

    Platt scaling is a logistic regression on the standardised score under a unit Gaussian prior on the slope, which
    keeps perfectly separated items from driving the confidence to 0 and 1. An isotonic map stays between 1 / (n + 2)
    and (n + 1) / (n + 2), which is what n answers of one kind would vouch for.

    Args:
        scores: Selection scores, finite; higher = more confident.
        correct: Whether each answer is correct.
        method: `platt`, `isotonic`, or `auto`: the one with the lower log-loss in cross-validation.
        groups: Of the questions, for that cross-validation; each its own where None.

    Returns:
        The calibration; a `UniformCalibration` where all answers are right (20 at least) or all wrong (however few);
        or `Infeasible` where there are fewer than 20 items, or where the score falls as answers get better (Platt): a
        map that respects the score would then be no confidence.

    Raises:
        DataError: A score is not finite, or the lengths differ.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if x.ndim != 1 or x.shape != y.shape or not np.isfinite(x).all():
        raise DataError(f"calibration got {x.shape} scores and {y.shape} answers; need a finite score for every answer")
    if len(x) and not y.any():
        return UniformCalibration(len(x), right=False)
    if len(x) < MIN_ITEMS:
        return Infeasible(f"{len(x)} calibration answers; it takes at least {MIN_ITEMS}")
    if y.all():
        return UniformCalibration(len(x), right=True)
    chosen = CalibrationMethod(method)
    if chosen is CalibrationMethod.AUTO:
        chosen = _chosen(x, y, groups or [str(place) for place in range(len(x))])
    return _fit_platt(x, y) if chosen is CalibrationMethod.PLATT else _fit_isotonic(x, y)


def _chosen(scores: Floats, correct: Bools, groups: Sequence[str]) -> CalibrationMethod:
    """Platt's curve, unless isotonic regression predicts held-out answers better."""
    folds, losses = deal_groups(groups, [1.0] * _NUM_FOLDS, seed=0), [0.0, 0.0]
    for fold in range(_NUM_FOLDS):
        own = folds == fold
        if own.any() and 0 < correct[~own].sum() < (~own).sum():
            for place, fit in enumerate((_fit_platt, _fit_isotonic)):
                found = fit(scores[~own], correct[~own])
                if isinstance(found, Infeasible):  # the score falls as answers get better: Platt says so on all of them
                    return CalibrationMethod.PLATT
                odds = np.array([found.confidence(score) for score in scores[own]])
                losses[place] -= float(np.log(np.where(correct[own], odds, 1.0 - odds)).sum())
    return CalibrationMethod.ISOTONIC if losses[1] < losses[0] else CalibrationMethod.PLATT


def _fit_platt(scores: Floats, correct: Bools) -> Calibration | Infeasible:
    if np.ptp(scores) == 0.0:
        rate = float(correct.mean())
        return PlattCalibration(len(scores), slope=0.0, intercept=math.log(rate / (1.0 - rate)))
    centre, spread = float(scores.mean()), float(scores.std())
    weights, intercept = fit_logistic(((scores - centre) / spread)[:, None], correct)
    slope = float(weights[0]) / spread
    if slope < 0.0:
        return Infeasible(
            f"on {len(scores)} calibration answers wrong ones score higher than right ones (slope {slope:.3g}); "
            "such a score carries no confidence"
        )
    return PlattCalibration(len(scores), slope, intercept=intercept - slope * centre)


def _fit_isotonic(scores: Floats, correct: Bools) -> Calibration:
    knots, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    least = 1.0 / (len(scores) + 2)
    fitted = np.clip(_pooled(np.bincount(place, correct).astype(np.float64), counts), least, 1.0 - least)
    # Inside of a stretch of equal confidence a knot says nothing.
    kept = np.ones(len(knots), dtype=np.bool_)
    kept[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
    return IsotonicCalibration(len(scores), tuple(knots[kept].tolist()), tuple(fitted[kept].tolist()))


def _pooled(hits: Floats, counts: NDArray[np.int64]) -> Floats:
    """The non-decreasing shares nearest to hits / counts: neighbours that fall are pooled (Ayer et al. 1955).

    scipy and scikit-learn have this too, and take half a second and more to import.
    """
    blocks: list[tuple[float, int, int]] = []  # hits, counts, places
    for hit, count in zip(hits.tolist(), counts.tolist(), strict=True):
        block = (hit, count, 1)
        while blocks and blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    return np.repeat([hit / count for hit, count, _ in blocks], [places for _, _, places in blocks])
