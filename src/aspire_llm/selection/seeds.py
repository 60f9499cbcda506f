"""Figures of several runs that differ in their seed alone: mean, standard deviation, interval of the mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aspire_llm.errors import ConfigError
from aspire_llm.selection.evaluation import Evaluation
from aspire_llm.selection.outcomes import defined

_METRICS = ("auroc", "auacc")


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the seeds.

    Attributes:
        mean: None where one of the runs does not define the figure.
        sd: Standard deviation; None of a single run.
        ci: 95% interval of the mean; None of a single run.
        values: Of each run; None where it does not define the figure.
    """

    mean: float | None
    sd: float | None
    ci: tuple[float, float] | None
    values: tuple[float | None, ...]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread":
        """The spread of one figure over the runs."""
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return cls(None, None, None, tuple(values))
        mean = float(np.mean(known))
        if len(known) == 1:
            return cls(mean, None, None, tuple(known))
        from scipy.special import stdtrit  # takes a quarter of a second to import, and most runs have one seed

        sd = float(np.std(known, ddof=1))
        half = float(stdtrit(len(known) - 1, 0.975)) * sd / len(known) ** 0.5
        return cls(mean, sd, (mean - half, mean + half), tuple(known))


Spreads = dict[str, dict[str, Spread]]


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """The same run from several seeds: the content of `seeds.json`.

    Attributes:
        seeds: Of the runs.
        left_out: Methods that some runs lack.
        methods: By name, then by metric (accuracy, auroc, auacc).
        differences: By "reference - rival", then by metric (auroc, auacc).
        shares_test: Whether the runs share their test questions: then spreads and intervals speak of training and
            sampling, and leave the splits out.
    """

    seeds: tuple[int, ...]
    left_out: tuple[str, ...]
    methods: Spreads
    differences: Spreads
    shares_test: bool = False

    def __post_init__(self) -> None:
        for spreads, needed in ((self.methods, ("accuracy", *_METRICS)), (self.differences, _METRICS)):
            for name, by_metric in spreads.items():
                if lacking := [metric for metric in needed if metric not in by_metric]:
                    raise ValueError(f"{name} has no {lacking[0]}")


def over_seeds(runs: Sequence[Evaluation], seeds: Sequence[int], *, shares_test: bool = False) -> SeedSummary:
    """Summarise runs that differ in their seed.

    A run is what is repeated: its split, initialisation, data order and draws all follow from the seed. So the interval
    of a mean is Student's t over the runs (95%), of the mean over all seeds on these data: the runs share the data, so
    it says nothing of other questions; `PooledMethods` does. That of one run's bootstrap covers its test questions
    alone. A figure that a run does not define is None, and so is its mean; a method that a run lacks is named under
    `left_out`.

    Args:
        runs: One or more.
        seeds: Of the runs.
        shares_test: Whether they share their test questions.

    Raises:
        ConfigError: There is no run.
    """
    if not runs:
        raise ConfigError("a summary over seeds takes at least one run")
    names = [name for name in runs[0].methods if all(name in run.methods for run in runs)]
    pairs = [pair for pair in runs[0].differences if all(pair in run.differences for run in runs)]
    return SeedSummary(
        seeds=tuple(seeds),
        left_out=tuple(sorted({name for run in runs for name in run.methods} - set(names))),
        methods={
            name: {
                metric: Spread.of([defined(getattr(run.methods[name], metric)) for run in runs])
                for metric in ("accuracy", *_METRICS)
            }
            for name in names
        },
        differences={
            pair: {
                metric: Spread.of([defined(run.differences[pair][metric].estimate) for run in runs])
                for metric in _METRICS
            }
            for pair in pairs
        },
        shares_test=shares_test,
    )
