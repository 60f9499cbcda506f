"""The tables of one run: on the terminal, and in `tables/` in the form in which the paper gives its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from aspire_llm.methods.catalogue import base_name, in_order
from aspire_llm.records import Answers
from aspire_llm.report.estimates import (
    METRIC_LABELS,
    difference_estimate,
    estimate,
    labels,
    mean,
    method_estimate,
    parts,
    spread_notes,
)
from aspire_llm.report.run_results import read_seeds
from aspire_llm.report.tables import Column, Estimate, Kind, Table
from aspire_llm.report.wording import difference_line, pair_label, reranked_notes, split_pair, undefined_notes
from aspire_llm.report.writers import as_text, write_files
from aspire_llm.results.metrics import METRICS, RunMetrics
from aspire_llm.results.scores import COSTS, Cost
from aspire_llm.selection import SeedSummary

_WHEN = {Answers.UNTUNED: "Before tuning", Answers.TUNED: "After tuning"}


def results_table(metrics: RunMetrics) -> str:
    """The methods side by side for a terminal, family by family, then the paired differences.

    Figures are in percent, differences in percentage points with their 95% intervals.
    """
    table = methods_table(metrics)
    return as_text(replace(table, notes=[*table.notes, *difference_notes(metrics)]))


def methods_table(metrics: RunMetrics) -> Table:
    """The methods side by side, family by family, in percent."""
    methods = {name: metrics.methods[name] for name in in_order(metrics.methods)}
    figures = methods.values()
    columns = [
        Column("method", "Method", labels(methods)),
        Column("accuracy", "Accuracy", [estimate(own.accuracy) for own in figures], Kind.PERCENT),
        Column("auroc", "AUROC [95%]", [estimate(own.auroc, own.auroc_ci) for own in figures], Kind.PERCENT),
        Column("auacc", "AUACC [95%]", [estimate(own.auacc, own.auacc_ci) for own in figures], Kind.PERCENT),
        Column("at_80", "Accuracy@80%", [estimate(own.accuracy_at_coverage[0.8]) for own in figures], Kind.PERCENT),
    ]
    return Table("methods", "", columns, [*reranked_notes(metrics), *undefined_notes(methods)])


def difference_notes(metrics: RunMetrics) -> list[str]:
    """The paired differences from the method that decides, a line each, and what they are."""
    pairs = {split_pair(pair)[1]: pair for pair in metrics.differences}
    lines = [difference_line(pairs[rival], metrics.differences[pairs[rival]]) for rival in in_order(pairs)]
    return [*lines, "(percentage points with 95% intervals; paired bootstrap over groups)"] if lines else []


def write_tables(run_dir: Path) -> list[Path]:
    """Write the tables of a run as ``tables/NAME.{csv,md,tex}``, each file whole or not at all.

    Returns:
        The paths of the files.

    Raises:
        RunDirectoryError: `metrics.json` is missing, or it, `costs.json` or `seeds.json` is broken.
    """
    costs = COSTS.read(run_dir) if COSTS.exists(run_dir) else {}
    return write_files(result_tables(METRICS.read(run_dir), costs, read_seeds(run_dir)), run_dir / "tables")


def result_tables(
    metrics: RunMetrics, costs: Mapping[str, Cost | None], seeds: SeedSummary | None = None
) -> list[Table]:
    """Accuracy before and after tuning, AUACC and AUROC of the methods, ASPIRE − rival, and cost.

    What several seeds give is shown as mean and standard deviation over seeds; the rest keeps the interval of the one
    run. What is missing leaves an empty table with a note.
    """
    return [
        accuracy_table(metrics, seeds),
        selection_table(metrics, seeds),
        differences_table(metrics, seeds),
        cost_table(metrics, costs),
    ]


def accuracy_table(metrics: RunMetrics, seeds: SeedSummary | None = None) -> Table:
    """Accuracy of the answers before and after tuning, and of the best-scored beams where those are given."""
    figures = {
        Answers.UNTUNED: estimate(metrics.accuracy_before, metrics.accuracy_before_ci),
        Answers.TUNED: estimate(metrics.accuracy, metrics.accuracy_ci),
    }
    for name, by_metric in (seeds.methods if seeds else {}).items():
        # The same for all methods on the same answers.
        figures[Answers.TUNED if name == base_name(name) else Answers.UNTUNED] = mean(by_metric["accuracy"])
    rows = {_WHEN[answers]: own for answers, own in figures.items()}
    if own := metrics.reranked:
        of_this_run = ", this run" if seeds else ""
        rows[f"After tuning, best-scored of {own.candidates} beams{of_this_run}"] = estimate(
            own.accuracy, own.accuracy_ci
        )
    columns = [
        Column("answers", "Answers", list(rows)),
        Column("accuracy", "Accuracy", list(rows.values()), Kind.PERCENT, parts(seeds), marks_best=True),
    ]
    notes = [f"{metrics.n} test questions.", *reranked_notes(metrics), *spread_notes(columns, seeds)]
    return Table("accuracy", "Accuracy of the likeliest answer, in percent.", columns, notes)


def selection_table(metrics: RunMetrics, seeds: SeedSummary | None = None) -> Table:
    """What each method is worth on untuned and on tuned answers."""
    columns = selection_columns(metrics, list(dict.fromkeys(map(base_name, metrics.methods))), seeds)
    of_one_run = {name: own for name, own in metrics.methods.items() if not (seeds and name in seeds.methods)}
    notes = [*spread_notes(columns, seeds), *undefined_notes(of_one_run)]
    caption = "Selective prediction on the answers of the untuned and of the tuned model, in percent."
    return Table("selection", caption, columns, notes)


def selection_columns(metrics: RunMetrics, methods: Sequence[str], seeds: SeedSummary | None = None) -> list[Column]:
    """The method, its source, and its AUACC and AUROC on the untuned and on the tuned answers."""
    names = {(base_name(name), origin.answers): name for name, origin in metrics.origins.items()}
    sources = {base_name(name): origin.source for name, origin in metrics.origins.items()}
    columns = [
        Column("method", "Method", labels(methods)),
        Column("source", "Source", [sources[method] for method in methods]),
    ]
    for answers, (metric, label) in product(_WHEN, METRIC_LABELS.items()):
        own = [names.get((method, answers)) for method in methods]
        cells = [name and method_estimate(metrics, seeds, name, metric) for name in own]
        title, heading = f"{label}, {answers}", _WHEN[answers]
        columns.append(Column(f"{metric}_{answers}", title, cells, Kind.PERCENT, parts(seeds), True, heading, label))
    return columns


def differences_table(
    metrics: RunMetrics, seeds: SeedSummary | None = None, pairs: Iterable[str] | None = None
) -> Table:
    """ASPIRE minus each rival, in the order of the pairs or else of the metrics."""
    pairs = list({**metrics.differences, **(seeds.differences if seeds else {})} if pairs is None else pairs)
    columns = [Column("difference", "Difference", [pair_label(pair) for pair in pairs])]
    for metric, label in METRIC_LABELS.items():
        cells = [difference_estimate(metrics, seeds, pair, metric) for pair in pairs]
        columns.append(Column(metric, label, cells, Kind.POINTS, parts(seeds)))
    notes = spread_notes(columns, seeds) if pairs else ["No methods were compared."]
    return Table("differences", "Paired differences in percentage points.", columns, notes)


def cost_table(metrics: RunMetrics, costs: Mapping[str, Cost | None]) -> Table:
    """What each method takes beyond answering once."""
    known = {name: cost for name in metrics.methods if (cost := costs.get(name)) is not None}
    own = known.values()
    columns = [
        Column("method", "Method", labels(known)),
        Column("seconds", "Seconds", [Estimate(cost.seconds) for cost in own], Kind.NUMBER),
        Column("generated_tokens", "Generated tokens", [Estimate(cost.generated_tokens) for cost in own], Kind.NUMBER),
        Column("relative", "Relative to answering", [Estimate(cost.relative) for cost in own], Kind.NUMBER),
    ]
    notes = [] if known else ["No cost was recorded."]
    return Table("cost", "What each method costs per question beyond answering it once.", columns, notes)
