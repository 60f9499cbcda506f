"""From the stored answers and scores of a run to `metrics.json`: every method scores the same answers."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from aspire_llm.errors import DataError
from aspire_llm.records import MethodScores
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import evaluate

Line: TypeAlias = Mapping[str, Any]

REFERENCE = "aspire"


def evaluate_run(
    directory: RunDirectory, methods: Sequence[str], *, left_out: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Hold the stored scores against the stored labels and write `metrics.json`.

    Args:
        directory: Holds `predictions.jsonl`, `scores/` and, of the base model, `predictions_untuned.jsonl`.
        methods: Names of the methods that come first; whatever else has stored scores follows.
        left_out: Of methods that could not score these answers, why; the report says so.

    Returns:
        The content of `metrics.json`.

    Raises:
        DataError: A prediction has no reference to be held against.
    """
    lines = directory.read_lines("predictions.jsonl")
    has_untuned = (directory.path / "predictions_untuned.jsonl").is_file()
    untuned = directory.read_lines("predictions_untuned.jsonl") if has_untuned else []
    if unknown_answers := sum(line["correct"] is None for line in lines):
        raise DataError(f"{unknown_answers} of {len(lines)} predictions have no reference; evaluation needs answers")
    stored = {path.stem for path in (directory.path / "scores").glob("*.json")}
    stored_methods = [*(name for name in methods if name in stored), *sorted(stored - set(methods))]
    files = {name: directory.read_json(f"scores/{name}.json") for name in stored_methods}
    tuned, before = (
        [method_scores(name, file["scores"], own) for name, file in files.items() if file["answers"] == answers]
        for answers, own in (("tuned", lines), ("untuned", untuned))
    )
    confidence = None if lines[0]["confidence"] is None else [line["confidence"] for line in lines]
    seed = directory.config.seed
    evaluation = evaluate(tuned, reference_method=REFERENCE, seed=seed, confidence=confidence).to_json()
    if before:
        other = evaluate(before, reference_method=before[0].name, seed=seed).to_json()
        evaluation["methods"] |= other["methods"]
    for name, figures in evaluation["methods"].items():
        figures |= {key: files[name][key] for key in ("answers", "source")}
    metrics = {
        "n": len(lines),
        "accuracy": _mean(lines, "correct"),
        "accuracy_before": _mean(untuned, "correct") if untuned else None,
        "malformed": sum(not line["terminated"] or not line["answer"] for line in lines) / len(lines),
        "answered": _answered(lines),
        **evaluation,
        "notes": _notes(directory, left_out or {}),
    }
    directory.write_json("metrics.json", metrics)
    # Apart, because two runs give the same metrics and never the same times.
    directory.write_json("costs.json", {name: file["cost"] for name, file in files.items()})
    return metrics


def method_scores(name: str, scores: Sequence[float], lines: Sequence[Line]) -> MethodScores:
    """Scores with the labels and groups of the answers that they are about, in the order of the lines."""
    return MethodScores(
        name,
        scores=tuple(scores),
        correct=tuple(bool(line["correct"]) for line in lines),
        groups=tuple(line["group"] or line["id"] for line in lines),
    )


def _answered(lines: Sequence[Line]) -> dict[str, float | None]:
    """Share of questions that are answered rather than withheld, and the accuracy of those answers."""
    answered = [line for line in lines if not line["abstained"]]
    return {"share": len(answered) / len(lines), "accuracy": _mean(answered, "correct") if answered else None}


def _mean(lines: Sequence[Line], key: str) -> float:
    return sum(float(line[key]) for line in lines) / len(lines)


def _notes(directory: RunDirectory, left_out: Mapping[str, str]) -> list[str]:
    notes = [f"Left out: {name} ({reason})." for name, reason in left_out.items()]
    if reason := directory.read_json("calibration.json").get("reason"):
        notes.append(f"No confidence: {reason}.")
    data = directory.read_json("provenance.json")["data"]
    if cut := data["contexts_cut"]:
        notes.append(f"Contexts cut to the model's window: {cut} of {sum(data['questions'].values())} questions.")
    return notes
