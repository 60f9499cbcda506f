"""Intervals by bootstrap over groups.

Answers to questions about one story or article rise and fall together, so whole groups are drawn with replacement,
never single answers. A resample is a vector of weights (how often the group of each answer was drawn), and both metrics
have a closed form on weighted blocks of tied scores: one sort per method serves all resamples.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import ConfigError
from aspire_llm.records import MethodScores
from aspire_llm.selection.outcomes import Undefined
from aspire_llm.selection.ties import auroc_of_blocks, has_both_kinds, tie_blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]

NUM_RESAMPLES = 1000
_CHUNK_ELEMENTS = 200_000  # weights worked on at a time: what is made of them stays in the processor's cache
_KEPT_ELEMENTS = 4_000_000  # weights kept for the next method, some 30 MB


@dataclass(frozen=True, slots=True)
class Draws:
    """A method's metrics on every resample.

    Attributes:
        accuracy: float[number of resamples], at full coverage; of several runs, of resamples that draw from each.
        auroc: float[r], r ≤ number of resamples: a resample in which all answers are right or all wrong has none.
        auacc: Like `accuracy`.
    """

    accuracy: Floats
    auroc: Floats
    auacc: Floats

    def minus(self, other: "Draws") -> "Draws":
        """Paired differences; both must stem from the same seed on the same answers, so that the resamples agree."""
        return Draws(self.accuracy - other.accuracy, self.auroc - other.auroc, self.auacc - other.auacc)


def bootstrap(*runs: MethodScores, seed: int, num_resamples: int = NUM_RESAMPLES) -> Draws | Undefined:
    """Accuracy, AUROC and AUACC of a method on resampled groups.

    The resamples depend on the seed and the groups only: methods with the same groups see the same ones.

    Args:
        runs: Scores (higher = more confident), correctness and group of every answer. Of several runs, which differ in
            their seed, the metrics are means over the runs, and a group is drawn as often in all that it stands in.
        seed: Of the resampling.
        num_resamples: How often to resample.

    Returns:
        The metrics on each resample, or `Undefined` where all answers stem from one group.

    Source: Field & Welsh (2007), bootstrapping clustered data (the cluster bootstrap).
    """
    if num_resamples < 1:
        raise ConfigError(f"got {num_resamples} resamples; the bootstrap needs at least 1")
    groups = [group for run in runs for group in run.groups]
    if len(set(groups)) < 2:
        return Undefined("all answers stem from one group, so nothing can be resampled; it takes at least two groups")
    correct = [np.asarray(run.correct, dtype=np.bool_) for run in runs]
    blocks = [tie_blocks(np.asarray(run.scores, dtype=np.float64)) for run in runs]
    ends = np.cumsum([len(own) for own in correct])[:-1]
    means: list[list[Floats]] = [[], [], []]
    for weights in group_weights(groups, seed, num_resamples):
        parts = list(zip(blocks, correct, np.split(weights, ends, axis=1), strict=True))
        sums = [(own.sums(weight), own.sums(weight * right)) for own, right, weight in parts]
        drawn = np.all([sizes.any(axis=-1) for sizes, _ in sums], axis=0)  # answers of every run
        sums = [(sizes[drawn], hits[drawn]) for sizes, hits in sums]
        both = np.all([has_both_kinds(sizes, hits) for sizes, hits in sums], axis=0)
        means[0].append(np.mean([hits.sum(axis=-1) / sizes.sum(axis=-1) for sizes, hits in sums], axis=0))
        means[1].append(np.mean([auroc_of_blocks(sizes[both], hits[both]) for sizes, hits in sums], axis=0))
        means[2].append(np.mean([_weighted_auacc(sizes, hits) for sizes, hits in sums], axis=0))
    return Draws(*(np.concatenate(own) for own in means))


def accuracy_interval(correct: Sequence[bool], groups: Sequence[str], *, seed: int) -> Interval | Undefined:
    """The 95% interval of the share of right answers: that of every method on these answers.

    Args:
        correct: Whether each answer is right.
        groups: Of the same answers.
        seed: Of the resampling.
    """
    draws = bootstrap(MethodScores("accuracy", (0.0,) * len(correct), tuple(correct), tuple(groups)), seed=seed)
    return draws if isinstance(draws, Undefined) else percentile_interval(draws.accuracy)


def ratio_interval(parts: Floats, wholes: Floats, groups: Sequence[str], *, seed: int) -> Interval | Undefined:
    """The 95% interval of Σ parts / Σ wholes; resamples whose whole is 0 say nothing.

    Args:
        parts, wholes: Of each answer, float[n].
        groups: Of the same answers.
        seed: Of the resampling.
    """
    if len(set(groups)) < 2:
        return Undefined("all answers stem from one group, so nothing can be resampled; it takes at least two groups")
    sums = [(weights @ parts, weights @ wholes) for weights in group_weights(groups, seed)]
    part, whole = (np.concatenate(own) for own in zip(*sums, strict=True))
    return percentile_interval(part[whole > 0.0] / whole[whole > 0.0])


def percentile_interval(values: Floats, level: float = 0.95) -> Interval | Undefined:
    """The central percentile interval of resampled values, float[r]; `Undefined` where there are none."""
    if not len(values):
        return Undefined("no resample holds both right and wrong answers")
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def group_weights(groups: Sequence[str], seed: int, num_resamples: int = NUM_RESAMPLES) -> Iterable[Ints]:
    """The weights of all resamples, in parts; those of the groups asked for last are kept. Otherwise as the next."""
    groups = tuple(groups)
    if len(groups) * num_resamples <= _KEPT_ELEMENTS:
        return _kept_weights(groups, num_resamples, seed)
    return resampled_weights(groups, num_resamples, np.random.default_rng(seed))


@lru_cache(maxsize=1)
def _kept_weights(groups: tuple[str, ...], num_resamples: int, seed: int) -> tuple[Ints, ...]:
    """The weights of the last groups asked for: methods are resampled one after the other on the same answers."""
    return tuple(resampled_weights(groups, num_resamples, np.random.default_rng(seed)))


def resampled_weights(groups: Sequence[str], num_resamples: int, rng: np.random.Generator) -> Iterator[Ints]:
    """How often each answer's group was drawn, int[some resamples, n] at a time; there are two groups at least."""
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    chunk = max(1, _CHUNK_ELEMENTS // len(groups))
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        yield rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=size)[:, group_of]


def _weighted_auacc(sizes: Ints, hits: Ints) -> Floats:
    """AUACC of weighted blocks, [r, b] → [r].

    A block of W answers with mean accuracy μ, preceded by N answers of which C are right, adds
    Σ_{j=1…W} (C + j·μ)/(N + j) = W·μ + (C − μ·N)·(H(N + W) − H(N)), H the harmonic numbers.
    """
    answers, right = np.cumsum(sizes, axis=-1), np.cumsum(hits, axis=-1)
    answers_before, right_before = answers - sizes, right - hits
    most = int(answers[:, -1].max(initial=0))
    harmonic = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, most + 1))))
    mean = hits / np.maximum(sizes, 1)  # an undrawn block has W = 0 and adds nothing
    gained = np.diff(harmonic[answers], axis=-1, prepend=0.0)  # H(N + W) − H(N): the blocks follow each other
    per_block = hits + (right_before - mean * answers_before) * gained
    area: Floats = per_block.sum(axis=-1) / answers[:, -1]
    return area
