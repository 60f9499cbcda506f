"""Novelty: whether a question is unlike those that calibrated the run, whose confidence then says nothing of it.

A question is a vector, which the model gives while it reads the prompt. Its score is the mean distance to the nearest
calibration questions of other groups, and its p-value the share of all questions, itself among them, that score as
high: low means novel. The question counts among the possible neighbours of the calibration questions too, so nothing
tells it from them but its vector, and if it is drawn like them, P(p ≤ u) ≤ u for every u (full conformal prediction;
one-sided for outliers as in Bates et al. 2023, "Testing for outliers with conformal p-values"). Where questions of a
group score alike, that many questions count as fewer, and the bound holds less exactly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import DataError
from aspire_llm.selection.outcomes import Infeasible

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_QUESTIONS = 100  # with fewer, no p-value is below 0.01
MAX_QUESTIONS = 1000  # kept, so that a guard has a bounded size and takes no time
NUM_NEIGHBOURS = 5


class NoveltyGuard:
    """The calibration questions that others are compared with.

    Args:
        states: Of the calibration questions, each of length 1, float32 `[n, d]`.
        groups: Of the same questions.
    """

    def __init__(self, states: NDArray[np.float32], groups: Sequence[str]) -> None:
        self.states, self.groups = states, tuple(groups)
        self._names = np.asarray(self.groups)
        self._directions = states.astype(np.float64)
        nearest = self._nearest(self._directions, self._names[:, None] != self._names)
        self._scores, self._farthest = nearest.mean(axis=1), nearest[:, -1]

    @classmethod
    def fit(cls, states: NDArray[np.floating], groups: Sequence[str], *, seed: int = 0) -> "NoveltyGuard | Infeasible":
        """The guard of a run; of more than 1,000 questions, that many drawn at random.

        Args:
            states: Of the calibration questions, `[n, d]`; their directions count, not their lengths.
            groups: Of the same questions; a question is compared with those of other groups.
            seed: Of the draw.

        Returns:
            The guard, or `Infeasible` where there are fewer than 100 questions, or nearly all are of one group.

        Raises:
            DataError: A state is not finite, or there are more or fewer groups than states.
        """
        if len(states) != len(groups) or not np.isfinite(states).all():
            raise DataError(
                f"novelty got states {states.shape} of {len(groups)} questions; need finite numbers for each"
            )
        if len(groups) > MAX_QUESTIONS:
            kept = np.sort(np.random.default_rng(seed).choice(len(groups), MAX_QUESTIONS, replace=False))
            states, groups = states[kept], [groups[i] for i in kept]
        largest = max((groups.count(name) for name in set(groups)), default=0)
        if len(groups) < MIN_QUESTIONS:
            return Infeasible(f"{len(groups)} calibration questions; it takes at least {MIN_QUESTIONS}")
        if len(groups) - largest < NUM_NEIGHBOURS:
            return Infeasible(f"{largest} of {len(groups)} calibration questions are of one group; it takes others")
        return cls(_directions(states).astype(np.float32), groups)

    def p_values(self, states: NDArray[np.floating], groups: Sequence[str]) -> list[float]:
        """The p-value of each of m questions, 1 / (n + 1) to 1; low = unlike the calibration questions.

        Args:
            states: Of the questions, `[m, d]`.
            groups: Of the questions. Calibration questions of the same group say nothing of one and are left out.
        """
        directions = _directions(states)
        others = np.asarray(groups)[:, None] != self._names  # [m, n]
        score = self._nearest(directions, others).mean(axis=1)
        # Where a group is known, its calibration questions have their neighbours already.
        joins = others.all(axis=1, keepdims=True)
        distance = np.where(joins, _distances(directions, self._directions), np.inf)
        theirs = self._scores + np.minimum(0.0, distance - self._farthest) / NUM_NEIGHBOURS
        as_high = ((theirs >= score[:, None]) & others).sum(axis=1)
        return [float(p) for p in (1 + as_high) / (1 + others.sum(axis=1))]

    def _nearest(self, directions: Floats, others: Bools) -> Floats:
        """Distances to the nearest of those calibration questions that are `others`, `[m, k]`, ascending."""
        distances = np.where(others, _distances(directions, self._directions), np.inf)
        return np.sort(np.partition(distances, NUM_NEIGHBOURS - 1, axis=1)[:, :NUM_NEIGHBOURS], axis=1)


def _directions(states: NDArray[np.floating]) -> Floats:
    wide = np.asarray(states, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    directions: Floats = wide / np.maximum(lengths, np.finfo(np.float64).tiny)
    return directions


def _distances(one: Floats, other: Floats) -> Floats:
    """Between vectors of length 1, `[m, d]` and `[n, d]` to `[m, n]`."""
    distances: Floats = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * one @ other.T))
    return distances
