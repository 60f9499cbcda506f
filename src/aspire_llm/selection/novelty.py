"""Novelty: whether a question is unlike those that calibrated the run, whose confidence then says nothing of it.

A question is a vector, which the model gives while it reads the prompt, in a space in which training questions vary
alike in all directions: what is foreign differs where they hardly differ. Its score is the mean distance to the nearest
calibration questions of other groups, and its p-value the share of all questions, itself among them, that score as
high: low means novel. The question counts among the possible neighbours of the calibration questions too, so nothing
tells it from them but its vector, and if it is drawn like them, P(p ≤ u) ≤ u for every u (full conformal prediction;
one-sided for outliers as in Bates et al. 2023, "Testing for outliers with conformal p-values"). Where questions of a
group score alike, that many questions count as fewer, and the bound holds less exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import DataError
from aspire_llm.selection.outcomes import Infeasible

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_QUESTIONS = 100  # with fewer, no p-value is below 0.01
MAX_QUESTIONS = 1000  # kept, so that a guard has a bounded size and takes no time
NUM_NEIGHBOURS = 5
MAX_AXES = 256
SHRINKAGE = 0.1  # of the covariance towards the same variance everywhere (Ledoit & Wolf 2004)


@dataclass(frozen=True, slots=True)
class View:
    """The space in which questions are compared: x ↦ W·(x / |x| − c), where W makes the variance of others one.

    W = (λ₀ / Λ)^½ along the axes and 1 elsewhere, Λ the shrunk variances there and λ₀ that where others do not vary at
    all; a common factor changes no comparison.

    Attributes:
        centre: c, float32 `[d]`.
        axes: Directions in which others vary, float32 `[r, d]`, orthonormal.
        weights: (λ₀ / Λ)^½, float32 `[r]`.
    """

    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def fit(cls, states: NDArray[np.floating]) -> "View":
        """The space of other questions, `[m, d]`, than those that are compared in it."""
        directions = _directions(states)
        centre = directions.mean(axis=0)
        _, spread, axes = np.linalg.svd(directions - centre, full_matrices=False)
        variance = spread**2 / len(directions)
        least = SHRINKAGE * variance.sum() / directions.shape[1]
        kept = (variance > 1e-12)[:MAX_AXES].sum()
        weights = np.sqrt(least / ((1 - SHRINKAGE) * variance[:kept] + least))
        return cls(*(part.astype(np.float32) for part in (centre, axes[:kept], weights)))

    def of(self, states: NDArray[np.floating]) -> Floats:
        """Questions in that space, `[m, d]`."""
        moved = _directions(states) - self.centre
        seen: Floats = moved + ((moved @ self.axes.T) * (self.weights - 1.0)) @ self.axes
        return seen


class NoveltyGuard:
    """The calibration questions that others are compared with.

    Args:
        view: The space in which they are compared.
        states: Of the calibration questions in it, float32 `[n, d]`.
        groups: Of the same questions.
    """

    def __init__(self, view: View, states: NDArray[np.float32], groups: Sequence[str]) -> None:
        self.view, self.states, self.groups = view, states, tuple(groups)
        self._names = np.asarray(self.groups)
        self._points = states.astype(np.float64)
        nearest = self._nearest(self._points, self._names[:, None] != self._names)
        self._scores, self._farthest = nearest.mean(axis=1), nearest[:, -1]

    @classmethod
    def fit(
        cls, states: NDArray[np.floating], groups: Sequence[str], others: NDArray[np.floating], *, seed: int = 0
    ) -> "NoveltyGuard | Infeasible":
        """The guard of a run; of more than 1,000 questions, that many drawn at random.

        Args:
            states: Of the calibration questions, `[n, d]`; their directions count, not their lengths.
            groups: Of the same questions; a question is compared with those of other groups.
            others: Of questions of another split, `[m, d]`, which say in which directions questions vary.
            seed: Of the draw.

        Returns:
            The guard, or `Infeasible` where there are fewer than 100 questions, or nearly all are of one group.

        Raises:
            DataError: A state is not finite, or there are more or fewer groups than states.
        """
        if len(states) != len(groups) or not (np.isfinite(states).all() and np.isfinite(others).all()):
            raise DataError(
                f"novelty got states {states.shape} of {len(groups)} questions; need finite numbers for each"
            )
        if len(groups) > MAX_QUESTIONS:
            kept = np.sort(np.random.default_rng(seed).choice(len(groups), MAX_QUESTIONS, replace=False))
            states, groups = states[kept], [groups[i] for i in kept]
        largest = max((groups.count(name) for name in set(groups)), default=0)
        if len(groups) < MIN_QUESTIONS:
            return Infeasible(f"{len(groups)} calibration questions; it takes at least {MIN_QUESTIONS}")
        if not np.ptp(states, axis=0).any():
            return Infeasible("all calibration questions look the same to the model")
        if len(groups) - largest < NUM_NEIGHBOURS:
            return Infeasible(f"{largest} of {len(groups)} calibration questions are of one group; it takes others")
        view = View.fit(others)
        return cls(view, view.of(states).astype(np.float32), groups)

    def p_values(self, states: NDArray[np.floating], groups: Sequence[str]) -> list[float]:
        """The p-value of each of m questions, 1 / (n + 1) to 1; low = unlike the calibration questions.

        Args:
            states: Of the questions, `[m, d]`.
            groups: Of the questions. Calibration questions of the same group say nothing of one and are left out.
        """
        points = self.view.of(states)
        others = np.asarray(groups)[:, None] != self._names  # [m, n]
        score = self._nearest(points, others).mean(axis=1)
        # Where a group is known, its calibration questions have their neighbours already.
        joins = others.all(axis=1, keepdims=True)
        distance = np.where(joins, _distances(points, self._points), np.inf)
        theirs = self._scores + np.minimum(0.0, distance - self._farthest) / NUM_NEIGHBOURS
        as_high = ((theirs >= score[:, None]) & others).sum(axis=1)
        return [float(p) for p in (1 + as_high) / (1 + others.sum(axis=1))]

    def _nearest(self, points: Floats, others: Bools) -> Floats:
        """Distances to the nearest of those calibration questions that are `others`, `[m, k]`, ascending."""
        distances = np.where(others, _distances(points, self._points), np.inf)
        return np.sort(np.partition(distances, NUM_NEIGHBOURS - 1, axis=1)[:, :NUM_NEIGHBOURS], axis=1)


def _directions(states: NDArray[np.floating]) -> Floats:
    wide = np.asarray(states, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    directions: Floats = wide / np.maximum(lengths, np.finfo(np.float64).tiny)
    return directions


def _distances(one: Floats, other: Floats) -> Floats:
    """Between `[m, d]` and `[n, d]`, `[m, n]`."""
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2.0 * one @ other.T
    distances: Floats = np.sqrt(np.maximum(0.0, squared))
    return distances
