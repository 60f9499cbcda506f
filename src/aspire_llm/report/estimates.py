"""From the records of a run to the cells of its tables: figures of one run, and means over seeds."""

from collections.abc import Iterable

from aspire_llm.methods.catalogue import method_label
from aspire_llm.report.tables import Column, Estimate
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.selection import SeedSummary, Spread, Undefined, defined

METRIC_LABELS = {"auacc": "AUACC", "auroc": "AUROC"}  # in the order of the paper's columns
Interval = tuple[float, float]

_INTERVAL = ("low", "high")
_OVER_SEEDS = ("sd", *_INTERVAL)


def parts(seeds: SeedSummary | None) -> tuple[str, ...]:
    """The parts that columns give of figures that may be means over seeds."""
    return _OVER_SEEDS if seeds else _INTERVAL


def estimate(value: float | Undefined | None, bounds: Interval | Undefined | None = None) -> Estimate:
    """A figure of one run with its interval."""
    low, high = defined(bounds) or (None, None)
    return Estimate(defined(value), low, high)


def mean(spread: Spread) -> Estimate:
    """A mean over seeds."""
    low, high = spread.ci or (None, None)
    return Estimate(spread.mean, low, high, spread.sd)


def method_estimate(metrics: RunMetrics, seeds: SeedSummary | None, method: str, metric: str) -> Estimate:
    """AUROC or AUACC of a method: over seeds where they are known, else with the interval of the one run."""
    if seeds is not None and method in seeds.methods:
        return mean(seeds.methods[method][metric])
    figures = metrics.methods[method]
    return estimate(getattr(figures, metric), getattr(figures, f"{metric}_ci"))


def difference_estimate(metrics: RunMetrics, seeds: SeedSummary | None, pair: str, metric: str) -> Estimate:
    """Reference minus rival in AUROC or AUACC: over seeds where they are known, else of the one run."""
    if seeds is not None and pair in seeds.differences:
        return mean(seeds.differences[pair][metric])
    difference = metrics.differences[pair][metric]
    return estimate(difference.estimate, difference.ci)


def labels(methods: Iterable[str]) -> list[str]:
    """The cells that name the rows of a table of methods."""
    return [method_label(method) for method in methods]


def meaning_over_seeds(seeds: SeedSummary) -> str:
    """What varies from seed to seed, and so what a spread over the seeds speaks of."""
    if seeds.shares_test:
        return (
            "The test questions are the same for every seed: the spread is that of training and sampling, and says "
            "nothing of other test questions."
        )
    return (
        "Every seed draws its own splits of the same data: the spread is that of splits, training and sampling, and "
        "says nothing of other data."
    )


def spread_notes(columns: Iterable[Column], *seeds: SeedSummary | None) -> list[str]:
    """What the brackets and the ± in these columns mean; `seeds` are the summaries that they draw on."""
    estimates = [cell for column in columns for cell in column.cells if isinstance(cell, Estimate)]
    notes = ["Brackets: 95% intervals."] if any(cell.low is not None for cell in estimates) else []
    if any(cell.sd is not None for cell in estimates):
        known = sorted({seed for summary in seeds if summary for seed in summary.seeds})
        notes.append(f"Means over seeds ({', '.join(map(str, known))}); ± is their standard deviation.")
        notes += list(dict.fromkeys(meaning_over_seeds(summary) for summary in seeds if summary))
    return notes
