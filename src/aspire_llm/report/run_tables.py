"""The tables of one run: accuracy before and after tuning, methods on untuned and tuned answers, differences, cost."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aspire_llm.comparison.table import Cell, Column, Estimate, Kind, Table
from aspire_llm.errors import RunDirectoryError
from aspire_llm.report.methods import method_label

METRICS = {"auacc": "AUACC", "auroc": "AUROC"}
COSTS = {"seconds": "Seconds", "generated_tokens": "Generated tokens", "relative": "Relative to answering"}
REFERENCE = "aspire"
UNTUNED_SUFFIX = "_untuned"
ANSWERS = ("untuned", "tuned")
INTERVAL = ("low", "high")
OVER_SEEDS = ("sd", *INTERVAL)


def result_tables(metrics: Mapping[str, Any], seeds: Mapping[str, Any] | None = None) -> list[Table]:
    """The results of one run in the form in which the paper gives its own.

    Args:
        metrics: Content of `metrics.json`.
        seeds: Content of `seeds.json`: the same run with other seeds. What it holds is shown as mean and standard
            deviation over seeds; the rest keeps the interval of the one run.

    Returns:
        ``accuracy``, ``selection`` (AUACC and AUROC of a method, on untuned and on tuned answers), ``differences``
        (ASPIRE − rival) and ``cost``. What is missing leaves an empty table with a note.

    Raises:
        RunDirectoryError: A figure is no number.
    """
    seeds = seeds or {}
    parts = OVER_SEEDS if seeds else INTERVAL
    return [
        _accuracy_table(metrics, seeds, parts),
        _selection_table(metrics, seeds, parts),
        _differences_table(metrics, seeds, parts),
        _cost_table(metrics),
    ]


def method_estimate(metrics: Mapping[str, Any], seeds: Mapping[str, Any], method: str, metric: str) -> Estimate:
    """A figure of a method: over seeds where they are known, else with the interval of the one run."""
    over_seeds = section(section(seeds, "methods"), method)
    if metric in over_seeds:
        return _mean(over_seeds, metric)
    return estimate(section(section(metrics, "methods"), method), metric)


def estimate(figures: Mapping[str, Any], name: str) -> Estimate:
    """The figure `name` with the interval that stands beside it as ``name_ci``."""
    low, high = _bounds(figures, f"{name}_ci")
    return Estimate(_number(figures.get(name), name), low, high)


def section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The member `name` of a JSON object, empty where it is absent or null; RunDirectoryError for anything else."""
    value = tree.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RunDirectoryError(
            f"{name!r} in the metrics is {value!r}; named values are needed: evaluate the run again"
        )
    return value


def answers_of(methods: Mapping[str, Any], name: str) -> str:
    """Whose answers a method scores, ``untuned`` or ``tuned``: by its entry, or by its name where that does not say."""
    known = section(methods, name).get("answers")
    if known in ANSWERS:
        return str(known)
    return "untuned" if name.endswith(UNTUNED_SUFFIX) else "tuned"


def spread_notes(rows: Iterable[Sequence[Cell]], *seeds: Mapping[str, Any]) -> list[str]:
    """What the brackets and the ± in these rows mean; `seeds` are the contents of the runs' `seeds.json`."""
    cells = [cell for row in rows for cell in row if isinstance(cell, Estimate)]
    notes = ["Brackets: 95% intervals."] if any(cell.low is not None for cell in cells) else []
    if any(cell.sd is not None for cell in cells):
        known = {str(seed) for content in seeds for seed in _seed_numbers(content)}
        notes.append(f"Means over seeds ({', '.join(sorted(known, key=int))}); ± is their standard deviation.")
    return notes


def _accuracy_table(metrics: Mapping[str, Any], seeds: Mapping[str, Any], parts: tuple[str, ...]) -> Table:
    by_method = section(seeds, "methods")
    after = section(by_method, REFERENCE)
    before = next((section(by_method, name) for name in by_method if name.endswith(UNTUNED_SUFFIX)), {})
    rows: tuple[tuple[Cell, ...], ...] = (
        ("Before tuning", _mean(before, "accuracy") if before else estimate(metrics, "accuracy_before")),
        ("After tuning", _mean(after, "accuracy") if after else estimate(metrics, "accuracy")),
    )
    columns = (Column("answers", "Answers"), Column("accuracy", "Accuracy", Kind.PERCENT, parts, marks_best=True))
    notes = (f"{metrics.get('n', 'An unknown number of')} test questions.", *spread_notes(rows, seeds))
    return Table("accuracy", "Accuracy of the likeliest answer, in percent.", columns, rows, notes)


def _selection_table(metrics: Mapping[str, Any], seeds: Mapping[str, Any], parts: tuple[str, ...]) -> Table:
    methods = section(metrics, "methods")
    variants: dict[str, dict[str, str]] = {}  # method: {"untuned" or "tuned": its name in the metrics}
    for name in methods:
        variants.setdefault(name.removesuffix(UNTUNED_SUFFIX), {})[answers_of(methods, name)] = name
    sources = {method: _source(methods, names.values()) for method, names in variants.items()}
    has_sources = any(sources.values())
    columns = (
        Column("method", "Method"),
        *([Column("source", "Source")] if has_sources else []),
        *(
            Column(f"{metric}_{answers}", f"{label}, {answers}", Kind.PERCENT, parts, marks_best=True)
            for answers in ANSWERS
            for metric, label in METRICS.items()
        ),
    )
    rows: list[tuple[Cell, ...]] = []
    for method, names in variants.items():
        figures = [
            method_estimate(metrics, seeds, names[answers], metric) if answers in names else None
            for answers in ANSWERS
            for metric in METRICS
        ]
        rows.append((method_label(method), *([sources[method]] if has_sources else []), *figures))
    caption = "Selective prediction on the answers of the untuned and of the tuned model, in percent."
    notes = (*spread_notes(rows, seeds), *_reasons(methods, section(seeds, "methods")))
    return Table("selection", caption, columns, tuple(rows), notes)


def _differences_table(metrics: Mapping[str, Any], seeds: Mapping[str, Any], parts: tuple[str, ...]) -> Table:
    one_run, over_seeds = section(metrics, "differences"), section(seeds, "differences")
    rows: list[tuple[Cell, ...]] = []
    for pair in {**one_run, **over_seeds}:
        first, _, rival = pair.partition(" - ")
        known, known_over_seeds = section(one_run, pair), section(over_seeds, pair)
        rows.append(
            (
                f"{method_label(first)} − {method_label(rival)}",
                *(
                    _mean(known_over_seeds, metric) if metric in known_over_seeds else _difference(known, metric)
                    for metric in METRICS
                ),
            )
        )
    columns = (
        Column("difference", "Difference"),
        *(Column(metric, label, Kind.POINTS, parts) for metric, label in METRICS.items()),
    )
    notes = spread_notes(rows, seeds) if rows else ["No methods were compared."]
    return Table("differences", "Paired differences in percentage points.", columns, tuple(rows), tuple(notes))


def _cost_table(metrics: Mapping[str, Any]) -> Table:
    methods = section(metrics, "methods")
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (method_label(name), *(Estimate(_number(cost.get(key), key)) for key in COSTS))
        for name in methods
        if (cost := section(section(methods, name), "cost"))
    )
    columns = (Column("method", "Method"), *(Column(key, title, Kind.NUMBER) for key, title in COSTS.items()))
    notes = () if rows else ("No cost was recorded.",)
    return Table("cost", "What each method costs a question beyond answering it once.", columns, rows, notes)


def _difference(by_metric: Mapping[str, Any], metric: str) -> Estimate:
    figures = section(by_metric, metric)
    low, high = _bounds(figures, "ci")
    return Estimate(_number(figures.get("estimate"), metric), low, high)


def _mean(figures: Mapping[str, Any], metric: str) -> Estimate:
    over_seeds = section(figures, metric)
    low, high = _bounds(over_seeds, "ci")
    return Estimate(_number(over_seeds.get("mean"), metric), low, high, _number(over_seeds.get("sd"), metric))


def _source(methods: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((str(source) for name in names if (source := section(methods, name).get("source"))), None)


def _reasons(methods: Mapping[str, Any], over_seeds: Mapping[str, Any]) -> list[str]:
    """Why a figure of the one run is undefined, where no seeds stand in for it."""
    return [
        f"{label} of {method_label(name)} is undefined: {reason}."
        for metric, label in METRICS.items()
        for name in methods
        if (reason := section(methods, name).get(f"{metric}_reason")) and name not in over_seeds
    ]


def _seed_numbers(content: Mapping[str, Any]) -> list[int]:
    numbers = content.get("seeds", [])
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise RunDirectoryError(f"'seeds' is {numbers!r}; a list of whole numbers is needed: run the seeds again")
    return numbers


def _bounds(figures: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    bounds = figures.get(name)
    if bounds is None:
        return None, None
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise RunDirectoryError(f"{name!r} in the metrics is {bounds!r}; two bounds are needed: evaluate the run again")
    return _number(bounds[0], name), _number(bounds[1], name)


def _number(value: object, name: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise RunDirectoryError(f"{name!r} in the metrics is {value!r}; a number is needed: evaluate the run again")
    return value
