"""Methods over several runs that differ in their seed: means, and intervals by one bootstrap over the groups of all.

Where seeds draw their test questions from one pool, a group may stand in the test splits of several. It is drawn as
often in each, so that an interval is of the questions that there are, not of questions that would be counted thrice.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from aspire_llm.errors import ConfigError
from aspire_llm.records import MethodScores
from aspire_llm.selection import metrics
from aspire_llm.selection.bootstrap import Draws, bootstrap, percentile_interval
from aspire_llm.selection.evaluation import Difference
from aspire_llm.selection.outcomes import Undefined, defined

METRICS = ("auroc", "auacc")


def accuracy_difference(
    after: Sequence[Sequence[bool]], before: Sequence[Sequence[bool]], groups: Sequence[Sequence[str]], *, seed: int = 0
) -> Difference:
    """The mean over runs of the share of right answers, minus that of other answers to the same questions.

    Args:
        after, before: Of each run, whether its answers are right.
        groups: Of their questions.
        seed: Of the bootstrap.
    """
    draws = []
    for correct in (after, before):
        runs = [
            MethodScores("accuracy", (0.0,) * len(own), tuple(own), tuple(its))
            for own, its in zip(correct, groups, strict=True)
        ]
        draws.append(bootstrap(*runs, seed=seed))
    estimate = float(np.mean([np.mean(own) for own in after]) - np.mean([np.mean(own) for own in before]))
    if isinstance(draws[0], Undefined) or isinstance(draws[1], Undefined):
        return Difference(estimate, Undefined("all answers stem from one group; an interval takes at least two"))
    return Difference(estimate, percentile_interval(draws[0].accuracy - draws[1].accuracy))


class PooledMethods:
    """The methods that all runs have.

    Args:
        runs: Of each, its methods, all on the same answers.
        seed: Of the bootstrap.
        num_resamples: Of the bootstrap.

    Attributes:
        names: Of the methods, in the order of the first run.

    Raises:
        ConfigError: There is no run, or no method that all have.
    """

    def __init__(self, runs: Sequence[Sequence[MethodScores]], *, seed: int = 0, num_resamples: int = 1000) -> None:
        by_name = [{method.name: method for method in run} for run in runs]
        self.names = tuple(name for name in (by_name[0] if by_name else {}) if all(name in own for own in by_name))
        if not self.names:
            raise ConfigError(f"{len(runs)} runs have no method in common; pooling takes one at least")
        self._runs = {name: [own[name] for own in by_name] for name in self.names}
        self._seed, self._num_resamples = seed, num_resamples

    def figure(self, name: str, metric: str) -> Difference:
        """The mean over the runs of one method's AUROC or AUACC, and its interval."""
        return Difference(self._mean(name, metric), self._interval(self._draws[name], metric))

    def difference(self, name: str, rival: str, metric: str) -> Difference:
        """The mean over the runs of one method's AUROC or AUACC minus a rival's, and the interval, paired."""
        means, draws = (self._mean(name, metric), self._mean(rival, metric)), (self._draws[name], self._draws[rival])
        if isinstance(means[0], Undefined) or isinstance(means[1], Undefined):
            return Difference(Undefined("not every run defines it"), self._interval(draws[0], metric))
        if isinstance(draws[0], Undefined) or isinstance(draws[1], Undefined):
            return Difference(means[0] - means[1], self._interval(draws[0], metric))
        return Difference(means[0] - means[1], self._interval(draws[0].minus(draws[1]), metric))

    def better(self, metric: str, *names: str) -> str:
        """Of some methods the one that is best: the rival that a claim has to stand against."""
        means = {name: defined(self._mean(name, metric)) for name in names}
        return max(names, key=lambda name: -math.inf if (own := means[name]) is None else own)

    @cached_property
    def _draws(self) -> dict[str, Draws | Undefined]:
        return {
            name: bootstrap(*runs, seed=self._seed, num_resamples=self._num_resamples)
            for name, runs in self._runs.items()
        }

    def _mean(self, name: str, metric: str) -> float | Undefined:
        values = [getattr(metrics, metric)(run.correct, run.scores) for run in self._runs[name]]
        undefined = [value for value in values if isinstance(value, Undefined)]
        return undefined[0] if undefined else float(np.mean(values))

    @staticmethod
    def _interval(draws: Draws | Undefined, metric: str) -> tuple[float, float] | Undefined:
        return draws if isinstance(draws, Undefined) else percentile_interval(getattr(draws, metric))
