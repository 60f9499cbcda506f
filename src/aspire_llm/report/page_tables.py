"""The tables of the page: the methods side by side, family by family, their further figures, and other seeds."""

from collections.abc import Mapping

from aspire_llm.methods.catalogue import UNTUNED, base_name, family_of, in_order, method_label
from aspire_llm.report.estimates import METRIC_LABELS, estimate, labels, mean
from aspire_llm.report.run_tables import selection_columns
from aspire_llm.report.tables import Cell, Column, Estimate, Kind, ShownCell, Table
from aspire_llm.report.wording import duration, pair_label, split_pair, undefined_notes
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.results.scores import Cost
from aspire_llm.selection import FusedScore, MethodMetrics, SeedSummary, Spread


def methods_table(metrics: RunMetrics, costs: Mapping[str, Cost]) -> Table:
    """What each method is worth before and after tuning, what it costs, and where it comes from."""
    methods = list(dict.fromkeys(map(base_name, in_order(metrics.methods))))
    method, source, *figures = selection_columns(metrics, methods)
    cost = Column("cost", "Cost, time per question", [_short_cost(costs, name) for name in methods], Kind.NUMBER)
    return Table(
        "methods",
        "Methods side by side",
        [method, *(column for column in (*figures, cost) if any(column.cells)), source],
        undefined_notes({name: metrics.methods[name] for name in in_order(metrics.methods)}),
        sections=[family_of(name).heading for name in methods],
        highlighted=method_label(metrics.reference),
    )


def details_table(methods: Mapping[str, MethodMetrics], reference: str) -> Table:
    """Further figures of every method; the row of `reference` is highlighted."""
    own = methods.values()
    figures = {
        "Accuracy at 80% coverage": [estimate(figures.accuracy_at_coverage[0.8]) for figures in own],
        "Coverage at 5% risk": [estimate(figures.coverage_at_risk[0.05]) for figures in own],
        "Coverage at 10% risk": [estimate(figures.coverage_at_risk[0.1]) for figures in own],
        "PRR": [estimate(figures.prr) for figures in own],
        "E-AURC": [estimate(figures.e_aurc) for figures in own],
        "Tied scores": [estimate(figures.tied_share) for figures in own],
    }
    columns = [
        Column("method", "Method", labels(methods)),
        *(Column(title, title, cells, Kind.PERCENT) for title, cells in figures.items()),
    ]
    return Table("details", "More figures of every method", columns, highlighted=method_label(reference))


def fused_table(fused: FusedScore) -> Table:
    """What the fused score is made from, the weightiest part first; parts that did not help are not there."""
    columns = zip(fused.parts, fused.weights, fused.centres, fused.scales, strict=True)
    rows = sorted(columns, key=lambda row: -abs(row[1]))
    numbers = {title: [row[place] for row in rows] for place, title in enumerate(("Weight", "Mean", "Deviation"), 1)}
    note = f"Weights of the standardised parts, fitted on {fused.num_items} validation answers."
    return Table(
        "fused",
        "What the score that decides is made from",
        [
            Column("part", "Part", [row[0].replace("_", " ") for row in rows]),
            *(
                Column(title.lower(), title, [ShownCell(f"{own:.2f}".replace("-", "−")) for own in cells], Kind.NUMBER)
                for title, cells in numbers.items()
            ),
        ],
        [note],
    )


def seed_tables(seeds: SeedSummary, reference: str) -> list[Table]:
    """The means over the seeds with their deviations, and the differences with the number of seeds that agree."""
    methods = {name: seeds.methods[name] for name in in_order(seeds.methods)}
    levels = [Column("method", "Method", labels(methods))]
    for metric, label in ({"accuracy": "Accuracy"} | METRIC_LABELS).items():
        # The deviation speaks here: the interval that a few seeds give is very wide.
        cells = [Estimate(own[metric].mean, sd=own[metric].sd) for own in methods.values()]
        levels.append(Column(metric, label, cells, Kind.PERCENT))
    pairs = {split_pair(pair)[1]: pair for pair in seeds.differences}
    pairs = {rival: pairs[rival] for rival in in_order(pairs)}
    differences = [Column("difference", "Difference", [pair_label(pair) for pair in pairs.values()])]
    for metric, label in METRIC_LABELS.items():
        spreads = [seeds.differences[pair][metric] for pair in pairs.values()]
        differences.append(Column(metric, f"{label}, points", list(map(mean, spreads)), Kind.POINTS))
        differences.append(Column(f"{metric}_ahead", "Seeds ahead", list(map(_ahead, spreads)), Kind.NUMBER))
    tables = [
        Table("seeds", "Means over the seeds", levels, highlighted=method_label(reference)),
        Table("seed_differences", "Differences over the seeds", differences),
    ]
    return tables if pairs else tables[:1]


def _short_cost(costs: Mapping[str, Cost], method: str) -> Cell:
    """Relative cost and below it what it consists of, on the tuned answers where there is a choice."""
    cost = costs.get(method, costs.get(f"{method}{UNTUNED}"))
    if cost is None:
        return None
    tokens = f"{cost.generated_tokens:.3g} tokens" if cost.generated_tokens else ""
    parts = filter(None, [duration(cost.seconds), tokens])
    return ShownCell(f"×{cost.relative:.{2 if cost.relative < 10 else 1}f}", " · ".join(parts))


def _ahead(spread: Spread) -> str | None:
    """On how many seeds the difference is positive; None where a seed does not define it."""
    known = [value for value in spread.values if value is not None]
    return f"{sum(value > 0 for value in known)} of {len(known)}" if len(known) == len(spread.values) else None
