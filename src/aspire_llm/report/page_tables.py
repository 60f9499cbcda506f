"""The tables of the page: the methods side by side, family by family, their further figures, and other seeds."""

from collections.abc import Mapping

from aspire_llm.methods.catalogue import REFERENCE, UNTUNED, base_name, family_of, in_order, method_label
from aspire_llm.report.estimates import METRIC_LABELS, estimate, mean
from aspire_llm.report.run_tables import selection_columns
from aspire_llm.report.tables import Cell, Column, Estimate, Filled, Kind, ShownCell, Table
from aspire_llm.report.wording import duration, pair_label, split_pair, undefined_notes
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.results.scores import Cost
from aspire_llm.selection import SeedSummary, Spread


def methods_table(metrics: RunMetrics, costs: Mapping[str, Cost]) -> Table:
    """What each method is worth before and after tuning, what it costs, and where it comes from."""
    methods = list(dict.fromkeys(map(base_name, in_order(metrics.methods))))
    method, source, *figures = selection_columns(metrics, methods)
    columns = [method, *((column, cells) for column, cells in figures if any(cells))]
    if costs:
        cost = Column("cost", "Cost, time per question", Kind.NUMBER)
        columns.append((cost, [_cost_in_short(costs, name) for name in methods]))
    return Table.of(
        "methods",
        "Methods side by side",
        [*columns, source],
        undefined_notes({name: metrics.methods[name] for name in in_order(metrics.methods)}),
        sections=[family_of(name).heading for name in methods],
        highlighted=method_label(REFERENCE),
    )


def details_table(metrics: RunMetrics) -> Table:
    """Further figures of every method."""
    methods = {name: metrics.methods[name] for name in in_order(metrics.methods)}
    figures = {
        "Accuracy at 80% coverage": [own.accuracy_at_coverage[0.8] for own in methods.values()],
        "Coverage at 5% risk": [own.coverage_at_risk[0.05] for own in methods.values()],
        "Coverage at 10% risk": [own.coverage_at_risk[0.1] for own in methods.values()],
        "PRR": [own.prr for own in methods.values()],
        "E-AURC": [own.e_aurc for own in methods.values()],
        "Tied scores": [own.tied_share for own in methods.values()],
    }
    columns: list[Filled] = [
        (Column("method", "Method"), [method_label(name) for name in methods]),
        *((Column(title, title, Kind.PERCENT), list(map(estimate, values))) for title, values in figures.items()),
    ]
    return Table.of("details", "More figures of every method", columns, highlighted=method_label(REFERENCE))


def seed_tables(seeds: SeedSummary) -> list[Table]:
    """The means over the seeds with their deviations, and the differences with the number of seeds that agree."""
    names = in_order(seeds.methods)
    levels: list[Filled] = [(Column("method", "Method"), [method_label(name) for name in names])]
    for metric, label in ({"accuracy": "Accuracy"} | METRIC_LABELS).items():
        # The deviation speaks here: the interval that a few seeds give is very wide.
        cells = [Estimate(own[metric].mean, sd=own[metric].sd) for own in map(seeds.methods.__getitem__, names)]
        levels.append((Column(metric, label, Kind.PERCENT), cells))
    pairs = {split_pair(pair)[1]: pair for pair in seeds.differences}
    pairs = {rival: pairs[rival] for rival in in_order(pairs)}
    differences: list[Filled] = [(Column("difference", "Difference"), [pair_label(pair) for pair in pairs.values()])]
    for metric, label in METRIC_LABELS.items():
        spreads = [seeds.differences[pair][metric] for pair in pairs.values()]
        differences.append((Column(metric, f"{label}, points", Kind.POINTS), list(map(mean, spreads))))
        differences.append((Column(f"{metric}_ahead", "Seeds ahead", Kind.NUMBER), list(map(_ahead, spreads))))
    return [
        Table.of("seeds", "Means over the seeds", levels, highlighted=method_label(REFERENCE)),
        *([Table.of("seed_differences", "Differences over the seeds", differences)] if pairs else []),
    ]


def _cost_in_short(costs: Mapping[str, Cost], method: str) -> Cell:
    """Relative cost and below it what it consists of, on the tuned answers where there is a choice."""
    cost = costs.get(method, costs.get(f"{method}{UNTUNED}"))
    if cost is None:
        return None
    tokens = f"{cost.generated_tokens:.3g} tokens" if cost.generated_tokens else ""
    parts = filter(None, [duration(cost.seconds), tokens])
    return ShownCell(f"×{cost.relative:.{2 if cost.relative < 10 else 1}f}", " · ".join(parts))


def _ahead(spread: Spread) -> Cell:
    known = [value for value in spread.values if value is not None]
    return f"{sum(value > 0 for value in known)} of {len(known)}"
