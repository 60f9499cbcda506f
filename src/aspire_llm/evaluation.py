"""From the stored predictions of a run to `metrics.json`: every method scores the same answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from aspire_llm.errors import ConfigError, DataError
from aspire_llm.records import MethodScores
from aspire_llm.run_dir import RunDirectory
from aspire_llm.selection import evaluate

Line: TypeAlias = Mapping[str, Any]

REFERENCE = "aspire"
# Higher = more confident, for every method.
METHODS: dict[str, Callable[[Line], float]] = {
    REFERENCE: lambda line: float(line["selection_score"]),
    "perplexity": lambda line: float(line["log_likelihood"]),
    "self_evaluation": lambda line: float(line["log_self_eval"]),
    "sequence_log_probability": lambda line: float(line["log_likelihood"] * line["num_tokens"]),
}
UNTUNED = "perplexity_untuned"


def evaluate_run(directory: RunDirectory, *, methods: Sequence[str] | None = None) -> dict[str, Any]:
    """Score the stored predictions and write `metrics.json`.

    Args:
        directory: Holds `predictions.jsonl` and, of the base model, `predictions_untuned.jsonl`.
        methods: Their names; None for all there are. `aspire` is always among them.

    Returns:
        The content of `metrics.json`.

    Raises:
        ConfigError: A method is not known.
        DataError: A prediction has no reference to be held against.
    """
    chosen = [*METHODS, UNTUNED] if methods is None else list(methods)
    if unknown := [name for name in chosen if name not in (*METHODS, UNTUNED)]:
        raise ConfigError(f"unknown method {unknown[0]!r}; known are {', '.join((*METHODS, UNTUNED))}")
    lines = directory.read_lines("predictions.jsonl")
    has_untuned = (directory.path / "predictions_untuned.jsonl").is_file()
    untuned = directory.read_lines("predictions_untuned.jsonl") if has_untuned else []
    if unknown_answers := sum(line["correct"] is None for line in lines):
        raise DataError(f"{unknown_answers} of {len(lines)} predictions have no reference; evaluation needs answers")
    scores = [_scores(name, lines, METHODS[name]) for name in METHODS if name in {*chosen, REFERENCE}]
    if untuned and UNTUNED in chosen:
        scores.append(_scores(UNTUNED, untuned, METHODS["perplexity"]))
    confidence = None if lines[0]["confidence"] is None else [line["confidence"] for line in lines]
    evaluation = evaluate(scores, reference_method=REFERENCE, seed=directory.config.seed, confidence=confidence)
    metrics = {
        "n": len(lines),
        "accuracy": _mean(lines, "correct"),
        "accuracy_before": _mean(untuned, "correct") if untuned else None,
        "malformed": sum(not line["terminated"] or not line["answer"] for line in lines) / len(lines),
        "answered": _answered(lines),
        **evaluation.to_json(),
        "notes": _notes(directory),
    }
    directory.write_json("metrics.json", metrics)
    return metrics


def _scores(name: str, lines: Sequence[Line], score: Callable[[Line], float]) -> MethodScores:
    return MethodScores(
        name,
        scores=tuple(score(line) for line in lines),
        correct=tuple(bool(line["correct"]) for line in lines),
        groups=tuple(line["group"] or line["id"] for line in lines),
    )


def _answered(lines: Sequence[Line]) -> dict[str, float | None]:
    """Share of questions that are answered rather than withheld, and the accuracy of those answers."""
    answered = [line for line in lines if not line["abstained"]]
    return {"share": len(answered) / len(lines), "accuracy": _mean(answered, "correct") if answered else None}


def _mean(lines: Sequence[Line], key: str) -> float:
    return sum(float(line[key]) for line in lines) / len(lines)


def _notes(directory: RunDirectory) -> list[str]:
    notes = []
    if reason := directory.read_json("calibration.json").get("reason"):
        notes.append(f"No confidence: {reason}.")
    data = directory.read_json("provenance.json")["data"]
    if cut := data["contexts_cut"]:
        notes.append(f"Contexts cut to the model's window: {cut} of {sum(data['questions'].values())} questions.")
    return notes
