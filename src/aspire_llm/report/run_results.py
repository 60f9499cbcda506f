"""Reads from a run directory what the report shows."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from aspire_llm.errors import RunDirectoryError
from aspire_llm.records import MethodScores

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One line of `predictions.jsonl`.

    Attributes:
        log_likelihood: Mean log-probability a token, in nats; with `num_tokens` the summed one.
        answer: The model's answer, also where it abstained; None where the file withholds it.
        selection_score, self_eval, log_self_eval: None in the file of the untuned model.
        confidence: None where the run has no calibration.
        rouge_l, correct: None where no reference is known.
    """

    id: str
    question: str
    answer: str | None
    log_likelihood: float
    num_tokens: int
    context: str | None
    references: tuple[str, ...]
    group: str
    selection_score: float | None
    confidence: float | None
    abstained: bool
    self_eval: float | None
    log_self_eval: float | None
    rouge_l: float | None
    correct: bool | None


@dataclass(frozen=True, slots=True)
class RunResults:
    """Everything the report needs of one run.

    Attributes:
        name: Name of the run directory.
        metrics: Content of `metrics.json`.
        rows: The test answers; empty where the file is missing.
        untuned_rows: The answers of the model before tuning; empty where the file is missing.
        config, provenance: Nested settings and circumstances; empty where the file is missing.
        notes: What is missing, in sentences.
    """

    name: str
    metrics: dict[str, Any]
    rows: tuple[AnswerRow, ...]
    untuned_rows: tuple[AnswerRow, ...]
    config: dict[str, Any]
    provenance: dict[str, Any]
    notes: tuple[str, ...]

    def method_scores(self) -> list[MethodScores]:
        """The scores of those methods of `metrics.json` that the stored answers give, best known method first."""
        judged = [row for row in self.rows if row.correct is not None]
        untuned = [row for row in self.untuned_rows if row.correct is not None]
        found = [
            _scores("aspire", judged, lambda row: row.selection_score),
            _scores("perplexity", judged, lambda row: row.log_likelihood),
            _scores("self_evaluation", judged, lambda row: row.log_self_eval),
            _scores("sequence_log_probability", judged, lambda row: row.log_likelihood * row.num_tokens),
            _scores("perplexity_untuned", untuned, lambda row: row.log_likelihood),
        ]
        listed = self.metrics.get("methods", {})
        return [scores for scores in found if scores is not None and scores.name in listed]


def read_run_results(run_dir: Path) -> RunResults:
    """Read a run directory.

    Raises:
        RunDirectoryError: `metrics.json` is missing, or a file is broken.
    """
    metrics_path = run_dir / "metrics.json"
    if not metrics_path.is_file():
        raise RunDirectoryError(f"{run_dir} holds no metrics.json; run `aspire-llm evaluate {run_dir}` first")
    notes: list[str] = []
    no_rows: tuple[AnswerRow, ...] = ()
    rows = _optional(run_dir / "predictions.jsonl", _read_rows, no_rows, notes, "curves, histogram and examples")
    untuned_path = run_dir / "predictions_untuned.jsonl"
    return RunResults(
        name=run_dir.resolve().name,
        metrics=_read_json(metrics_path),
        rows=rows,
        untuned_rows=_read_rows(untuned_path) if untuned_path.is_file() else (),
        config=_optional(run_dir / "config.yaml", _read_yaml, {}, notes, "settings"),
        provenance=_optional(run_dir / "provenance.json", _read_json, {}, notes, "provenance"),
        notes=tuple(notes),
    )


def _scores(name: str, rows: list[AnswerRow], score: Callable[[AnswerRow], float | None]) -> MethodScores | None:
    values = [score(row) for row in rows]
    known = tuple(value for value in values if value is not None)
    if not known or len(known) < len(values):
        return None
    return MethodScores(
        name, known, tuple(bool(row.correct) for row in rows), tuple(row.group or row.id for row in rows)
    )


def _optional(path: Path, read: Callable[[Path], T], default: T, notes: list[str], shown: str) -> T:
    if path.is_file():
        return read(path)
    notes.append(f"{path.name} is missing, so there is no part with {shown}.")
    return default


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise RunDirectoryError(f"{path} is not valid JSON ({error}); make it again") from error
    return _mapping(path, content)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RunDirectoryError(f"{path} is not valid YAML; restore the file that the run wrote") from error
    return _mapping(path, content)


def _mapping(path: Path, content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RunDirectoryError(f"{path} holds a {type(content).__name__}; it must hold named values")
    return content


def _read_rows(path: Path) -> tuple[AnswerRow, ...]:
    with path.open(encoding="utf-8") as lines:
        return tuple(_parse_rows(path, lines))


def _parse_rows(path: Path, lines: Iterable[str]) -> Iterable[AnswerRow]:
    for number, line in enumerate(lines, start=1):
        try:
            yield _row(json.loads(line, parse_constant=_refuse_constant))
        except (KeyError, TypeError, ValueError) as error:
            raise RunDirectoryError(f"{path} line {number} is no prediction ({error!r}); predict again") from error


def _row(line: dict[str, Any]) -> AnswerRow:
    def number(key: str) -> float | None:
        return None if line.get(key) is None else float(line[key])

    return AnswerRow(
        id=str(line["id"]),
        question=str(line["question"]),
        answer=line.get("answer"),
        log_likelihood=float(line["log_likelihood"]),
        num_tokens=int(line["num_tokens"]),
        context=line.get("context"),
        references=tuple(line.get("references") or ()),
        group=str(line.get("group") or ""),
        selection_score=number("selection_score"),
        confidence=number("confidence"),
        abstained=bool(line.get("abstained")),
        self_eval=number("self_eval"),
        log_self_eval=number("log_self_eval"),
        rouge_l=number("rouge_l"),
        correct=line.get("correct"),
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
