"""95% bands of curves, by bootstrap over groups.

As in `aspire_llm.selection.bootstrap`, a resample is a vector of weights: how often the group of each answer was drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aspire_llm.records import MethodScores
from aspire_llm.selection import bootstrap
from aspire_llm.selection.ties import tie_blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NUM_RESAMPLES = 1000
_SEED = 0
_TAILS = 0.025, 0.975


@dataclass(frozen=True, slots=True)
class Band:
    """The 95% interval at every point of a curve, float[points] each."""

    low: Floats
    high: Floats


def group_weights(groups: Sequence[str], num_resamples: int = NUM_RESAMPLES) -> Sequence[Ints] | None:
    """How often each answer's group was drawn, int[some resamples, n] in parts; None where there is a single group.

    The same groups give the same draws, so that the bands of methods on the same answers belong together.
    """
    if len(set(groups)) < 2:
        return None
    return tuple(bootstrap.group_weights(groups, _SEED, num_resamples))


def accuracy_band(method: MethodScores, coverages: Floats, weights: Sequence[Ints]) -> Band:
    """The band of a method's accuracy–coverage curve.

    A resample's right answers among its t surest ones grow linearly within a block of tied scores, which is their
    expectation over random tie-breaking.

    Args:
        method: Scores (higher = more confident) and correctness of n answers.
        coverages: float[points], above 0 and at most 1.
        weights: Of `group_weights`.
    """
    correct = np.asarray(method.correct, dtype=np.bool_)
    blocks = tie_blocks(np.asarray(method.scores, dtype=np.float64))
    accuracies = []
    for part in weights:
        taken, hits = _from_zero(blocks.sums(part)), _from_zero(blocks.sums(part * correct))
        wanted = np.maximum(coverages * taken[:, -1:], 1.0)  # [some resamples, points]
        # Each resample's counts stand above those of the one before, so that one interpolation does for all.
        above = (taken[:, -1].max() + 1) * np.arange(len(taken))[:, None]
        accuracies.append(np.interp(wanted + above, (taken + above).ravel(), hits.ravel()) / wanted)
    low, high = np.quantile(np.concatenate(accuracies), _TAILS, axis=0)
    return Band(low, high)


def share_band(correct: Bools, members: Bools, weights: Sequence[Ints]) -> Band:
    """The bands of the shares of right answers in several sets of answers.

    Args:
        correct: bool[n].
        members: Which answers belong to each set, bool[sets, n]; no set is empty.
        weights: Of `group_weights`.
    """
    sizes, hits = (  # [resamples, sets]
        np.concatenate([part @ counted.T.astype(np.int64) for part in weights])
        for counted in (members, members & correct)
    )
    observed = (members & correct).sum(axis=1) / members.sum(axis=1)
    # A set of which no answer was drawn says nothing; it may not widen its band to 0 or 1.
    shares = np.where(sizes > 0, hits / np.maximum(sizes, 1), observed)
    low, high = np.quantile(shares, _TAILS, axis=0)
    return Band(low, high)


def _from_zero(blocks: Ints) -> Floats:
    """Running sums over the blocks of each resample, from 0: [resamples, b] → [resamples, b + 1]."""
    sums = np.zeros((len(blocks), blocks.shape[1] + 1))
    np.cumsum(blocks, axis=1, out=sums[:, 1:])
    return sums
