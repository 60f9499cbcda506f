"""Runs side by side: their figures, the settings in which they differ, and whether they answered the same questions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aspire_llm.comparison.results import (
    INTERVAL,
    METRICS,
    OVER_SEEDS,
    REFERENCE,
    answers_of,
    estimate,
    method_estimate,
    section,
    spread_notes,
)
from aspire_llm.comparison.table import Cell, Column, Estimate, Kind, Table
from aspire_llm.config_files import read_yaml
from aspire_llm.errors import ConfigError, RunDirectoryError
from aspire_llm.report.methods import method_label
from aspire_llm.report.run_files import read_json, read_metrics


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a comparison needs of one run.

    Attributes:
        name: What tables call it.
        metrics: Content of `metrics.json`.
        seeds: Content of `seeds.json`; empty where there is none.
        settings: Its configuration by dotted keys; None where `config.yaml` is missing.
        questions: Fingerprint of its test questions; None where `predictions.jsonl` is missing.
        data: Fingerprint of all its questions and their splits; None where `provenance.json` tells none.
    """

    name: str
    metrics: Mapping[str, Any]
    seeds: Mapping[str, Any]
    settings: Mapping[str, object] | None
    questions: str | None
    data: str | None


def compare_runs(runs: Sequence[Path]) -> list[Table]:
    """Lay runs side by side.

    Args:
        runs: Run directories, one or more, each with a `metrics.json`.

    Returns:
        ``runs`` (accuracy of each), ``methods`` (AUACC and AUROC of every method in every run), ``methods_untuned``
        (the same of methods that score the answers before tuning) and ``settings`` (the keys of `config.yaml` in which
        they differ).

    Raises:
        ConfigError: There is no run, or one is given twice.
        RunDirectoryError: A run lacks `metrics.json`, or a file is broken.
    """
    if not runs:
        raise ConfigError("no run was given; name one or more run directories")
    if twice := [run for place, run in enumerate(runs) if run.resolve() in [other.resolve() for other in runs[:place]]]:
        raise ConfigError(f"{twice[0]} is given twice; name every run once")
    own_names = [run.resolve().name for run in runs]
    # Runs of one name are told apart by the paths they were given as.
    names = own_names if len(set(own_names)) == len(runs) else [str(run) for run in runs]
    read = [_read(run, name) for run, name in zip(runs, names, strict=True)]
    note = _questions_note(read)
    return [
        _runs_table(read, note),
        _methods_table("methods", "tuned", read, note),
        _methods_table("methods_untuned", "untuned", read, note),
        _settings_table(read),
    ]


def read_seeds(run: Path) -> dict[str, Any]:
    """`seeds.json` of a run, empty where there is none."""
    path = run / "seeds.json"
    return read_json(path) if path.is_file() else {}


def _read(run: Path, name: str) -> RunFigures:
    config, provenance = run / "config.yaml", run / "provenance.json"
    data = section(read_json(provenance), "data").get("sha256") if provenance.is_file() else None
    return RunFigures(
        name=name,
        metrics=read_metrics(run),
        seeds=read_seeds(run),
        settings=_flat(read_yaml(config)) if config.is_file() else None,
        questions=_question_fingerprint(run / "predictions.jsonl"),
        data=None if data is None else str(data),
    )


def _question_fingerprint(path: Path) -> str | None:
    """One value for the questions of `predictions.jsonl`, whatever their order."""
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        asked = sorted(repr((line["id"], line["question"], line.get("context"))) for line in lines)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunDirectoryError(f"{path} holds a line that is no prediction ({error!r}); predict again") from error
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()


def _questions_note(runs: Sequence[RunFigures]) -> str:
    """Whether figures of these runs may be held against each other."""
    if len(runs) == 1:
        return "One run: nothing to compare it with."
    # The answers themselves say best what was asked: a run may be evaluated on other data than it was trained on.
    for fingerprints in ([run.questions for run in runs], [run.data for run in runs]):
        if None not in fingerprints:
            if len(set(fingerprints)) == 1:
                return "All runs answered the same test questions."
            return (
                "The test questions differ between the runs, and the figures with them: do not rank the runs by them."
            )
    return "Whether the runs answered the same test questions is unknown: their provenance is missing."


def _runs_table(runs: Sequence[RunFigures], note: str) -> Table:
    columns = (
        Column("run", "Run"),
        Column("model", "Model"),
        Column("data", "Data"),
        Column("n", "Test questions", Kind.NUMBER),
        Column("accuracy_before", "Accuracy before tuning", Kind.PERCENT, INTERVAL),
        Column("accuracy", "Accuracy", Kind.PERCENT, OVER_SEEDS),
    )
    rows: list[tuple[Cell, ...]] = []
    for run in runs:
        settings = run.settings or {}
        data = settings.get("data.path") or settings.get("data.name")
        over_seeds = method_estimate(run.metrics, run.seeds, REFERENCE, "accuracy")
        rows.append(
            (
                run.name,
                _text(settings["model"]) if "model" in settings else None,
                None if data is None else str(data),
                estimate(run.metrics, "n"),
                estimate(run.metrics, "accuracy_before"),
                over_seeds if over_seeds.sd is not None else estimate(run.metrics, "accuracy"),
            )
        )
    notes = (note, *spread_notes(rows, *(run.seeds for run in runs)))
    return Table("runs", "The runs and their accuracy, in percent.", columns, tuple(rows), notes)


def _methods_table(name: str, answers: str, runs: Sequence[RunFigures], note: str) -> Table:
    """Methods on one kind of answers: figures of different answers rank no methods."""
    known = [section(run.metrics, "methods") for run in runs]
    methods = dict.fromkeys(method for own in known for method in own if answers_of(own, method) == answers)
    columns = (
        Column("method", "Method"),
        *(
            Column(f"{run.name}_{metric}", f"{run.name}: {label}", Kind.PERCENT, parts, marks_best=True)
            for run in runs
            for parts in [OVER_SEEDS if run.seeds else INTERVAL]
            for metric, label in METRICS.items()
        ),
    )
    rows = tuple(
        (method_label(method), *(_figure(run, method, metric) for run in runs for metric in METRICS))
        for method in methods
    )
    notes = [note, *spread_notes(rows, *(run.seeds for run in runs))] if rows else ["No method scored these answers."]
    caption = f"Selective prediction on the answers of the {answers} models, in percent."
    return Table(name, caption, columns, rows, tuple(notes))


def _figure(run: RunFigures, method: str, metric: str) -> Estimate | None:
    """None where the run does not know the method."""
    known = method in section(run.metrics, "methods")
    return method_estimate(run.metrics, run.seeds, method, metric) if known else None


def _settings_table(runs: Sequence[RunFigures]) -> Table:
    known = [run.settings for run in runs if run.settings is not None]
    keys = dict.fromkeys(key for settings in known for key in settings)
    differing = [key for key in keys if len({_text(settings.get(key)) for settings in known}) > 1]
    columns = (Column("key", "Setting"), *(Column(run.name, run.name) for run in runs))
    rows = tuple(
        (key, *(_text(run.settings[key]) if run.settings and key in run.settings else None for run in runs))
        for key in differing
    )
    notes = [f"The settings of {run.name} are unknown: config.yaml is missing." for run in runs if run.settings is None]
    if not rows and len(known) > 1:
        notes.append("The settings are the same.")
    return Table("settings", "Settings in which the runs differ.", columns, rows, tuple(notes))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
