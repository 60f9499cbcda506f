"""Runs side by side: their figures, the settings in which they differ, and whether they answered the same questions."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aspire_llm.errors import ConfigError
from aspire_llm.records import Answers
from aspire_llm.report.estimates import METRIC_LABELS, estimate, labels, mean, method_estimate, parts, spread_notes
from aspire_llm.report.rendering import render
from aspire_llm.report.run_results import RunResults, read_run_results
from aspire_llm.report.tables import Column, Estimate, Kind, Table
from aspire_llm.report.wording import flat
from aspire_llm.report.writers import as_text, write_files
from aspire_llm.rundir.writing import write_text


def write_comparison(runs: Sequence[Path], output_dir: Path | None = None) -> str:
    """Compare runs for a terminal and, where a folder is given, in files.

    Args:
        runs: Run directories, one or more, each with a `metrics.json`.
        output_dir: Gets `comparison.html` and every table as CSV, Markdown and LaTeX; made where it is not there.

    Returns:
        The comparison as text.

    Raises:
        ConfigError: There is no run, one is given twice, or the folder cannot be made.
        RunDirectoryError: A run lacks `metrics.json`, or a file is broken.
    """
    tables = compare_runs(runs)
    if output_dir is not None:
        write_files(tables, output_dir)
        write_text(output_dir / "comparison.html", render("comparison.html", tables=tables))
    return "\n\n\n".join(map(as_text, tables))


def compare_runs(runs: Sequence[Path]) -> list[Table]:
    """Lay runs side by side.

    Returns:
        ``runs`` (accuracy of each), ``methods`` (AUACC and AUROC of every method in every run), ``methods_untuned``
        (the same of methods that score the answers before tuning) and ``settings`` (the keys in which they differ).
    """
    if not runs:
        raise ConfigError("no run was given; name one or more run directories")
    if twice := [run for place, run in enumerate(runs) if run.resolve() in [other.resolve() for other in runs[:place]]]:
        raise ConfigError(f"{twice[0]} is given twice; name every run once")
    read = [read_run_results(run) for run in runs]
    if len({run.name for run in read}) < len(read):
        # Runs of one name are told apart by the paths they were given as.
        read = [replace(run, name=str(path)) for run, path in zip(read, runs, strict=True)]
    note = _questions_note(read)
    return [
        _runs_table(read, note),
        _methods_table("methods", Answers.TUNED, read, note),
        _methods_table("methods_untuned", Answers.UNTUNED, read, note),
        _settings_table(read),
    ]


def _questions_note(runs: Sequence[RunResults]) -> str:
    """Whether figures of these runs may be held against each other."""
    if len(runs) == 1:
        return "One run: nothing to compare it with."
    # The answers themselves say best what was asked: a run may be evaluated on other data than it was trained on.
    asked = [_asked(run) for run in runs]
    data = [run.provenance.data.sha256 if run.provenance else None for run in runs]
    for known in (asked, data):
        if None not in known:
            if len(set(known)) == 1:
                return "All runs answered the same test questions."
            return (
                "The test questions differ between the runs, and the figures with them: do not rank the runs by them."
            )
    return "Whether the runs answered the same test questions is unknown: their provenance is missing."


def _asked(run: RunResults) -> frozenset[tuple[str, str, str | None]] | None:
    """The test questions, without regard to their order; None where the predictions are missing."""
    questions = (own.question for own in run.predictions)
    return frozenset((own.id, own.question, own.context) for own in questions) or None


def _runs_table(runs: Sequence[RunResults], note: str) -> Table:
    accuracies = [
        mean(run.seeds.methods[run.metrics.reference]["accuracy"])
        if run.seeds and run.metrics.reference in run.seeds.methods
        else estimate(run.metrics.accuracy, run.metrics.accuracy_ci)
        for run in runs
    ]
    reranked = [run.metrics.reranked for run in runs]
    given = [None if own is None else estimate(own.accuracy, own.accuracy_ci) for own in reranked]
    columns = [
        Column("run", "Run", [run.name for run in runs]),
        Column("model", "Model", [run.config.model if run.config else None for run in runs]),
        Column("data", "Data", [run.config.data.source if run.config else None for run in runs]),
        Column("n", "Test questions", [Estimate(run.metrics.n) for run in runs], Kind.NUMBER),
        Column(
            "accuracy_before",
            "Accuracy before tuning",
            [Estimate(run.metrics.accuracy_before) for run in runs],
            Kind.PERCENT,
            parts(None),
        ),
        Column("accuracy", "Accuracy", accuracies, Kind.PERCENT, ("sd", "low", "high")),
        *([Column("reranked", "Best-scored beam", given, Kind.PERCENT)] if any(given) else []),
    ]
    notes = [note, *spread_notes(columns, *(run.seeds for run in runs))]
    return Table("runs", "The runs and their accuracy, in percent.", columns, notes)


def _methods_table(name: str, answers: Answers, runs: Sequence[RunResults], note: str) -> Table:
    """Methods on one kind of answers: figures of different answers rank no methods."""
    methods = dict.fromkeys(
        method for run in runs for method, origin in run.metrics.origins.items() if origin.answers is answers
    )
    columns = [Column("method", "Method", labels(methods))]
    for run in runs:
        for metric, label in METRIC_LABELS.items():
            # Empty where the run does not know the method.
            cells = [
                method_estimate(run.metrics, run.seeds, method, metric) if method in run.metrics.methods else None
                for method in methods
            ]
            names = f"{run.name}_{metric}", f"{run.name}: {label}"
            columns.append(Column(*names, cells, Kind.PERCENT, parts(run.seeds), True, run.name, label))
    notes = [note, *spread_notes(columns, *(run.seeds for run in runs))]
    caption = f"Selective prediction on the answers of the {answers} models, in percent."
    return Table(name, caption, columns, notes if methods else ["No method scored these answers."])


def _settings_table(runs: Sequence[RunResults]) -> Table:
    settings = {run.name: flat(run.config.model_dump(mode="json") if run.config else {}) for run in runs}
    known = [own for own in settings.values() if own]
    keys = dict.fromkeys(key for own in known for key in own)
    differing = [key for key in keys if any(own[key] != known[0][key] for own in known)]
    columns = [
        Column("key", "Setting", differing),
        *(
            Column(name, name, [_text(own[key]) if own else None for key in differing])
            for name, own in settings.items()
        ),
    ]
    notes = [
        f"The settings of {name} are unknown: config.yaml is missing." for name, own in settings.items() if not own
    ]
    if not differing and len(known) > 1:
        notes.append("The settings are the same.")
    return Table("settings", "Settings in which the runs differ.", columns, notes)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
