"""Predictions as they are stored: a line per question, of the tuned model and of the untuned one."""

from collections.abc import Mapping
from typing import Any

from aspire_llm.records import LabelledAnswer, Prediction, Question, SampledAnswer, ScoredAnswer, UntunedAnswer
from aspire_llm.rundir.files import Lines


def prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    """A line of `predictions.jsonl`; `answer` stands there also where the system abstained."""
    scored = prediction.scored
    return {
        **_question_to_json(prediction.question),
        "answer": scored.answer.text,
        "token_ids": scored.answer.token_ids,
        "selection_score": scored.selection_score,
        "confidence": prediction.confidence,
        "abstained": prediction.abstained,
        "why": prediction.why,
        "log_likelihood": scored.answer.log_likelihood,
        "num_tokens": scored.answer.num_tokens,
        "terminated": scored.answer.terminated,
        "self_eval": scored.self_eval,
        "log_self_eval": scored.log_self_eval,
        "rouge_l": prediction.rouge_l,
        "correct": prediction.correct,
    }


def prediction_from_json(line: Mapping[str, Any]) -> Prediction:
    """The prediction that `prediction_to_json` wrote; of its question, what a line holds (no history)."""
    return Prediction(
        question=_question_from_json(line),
        scored=ScoredAnswer(
            answer=_answer_from_json(line),
            self_eval=float(line["self_eval"]),
            log_self_eval=float(line["log_self_eval"]),
            selection_score=float(line["selection_score"]),
        ),
        confidence=None if line["confidence"] is None else float(line["confidence"]),
        abstained=bool(line["abstained"]),
        why=line["why"],
        rouge_l=line["rouge_l"],
        correct=line["correct"],
    )


def untuned_to_json(untuned: UntunedAnswer) -> dict[str, Any]:
    """A line of `predictions_untuned.jsonl`: what the model answers without any adapter."""
    answer = untuned.sampled
    return {
        **_question_to_json(untuned.question),
        "answer": answer.text,
        "token_ids": answer.token_ids,
        "log_likelihood": answer.log_likelihood,
        "num_tokens": answer.num_tokens,
        "terminated": answer.terminated,
        "rouge_l": untuned.rouge_l,
        "correct": untuned.correct,
    }


def untuned_from_json(line: Mapping[str, Any]) -> UntunedAnswer:
    """The record that `untuned_to_json` wrote."""
    labelled = LabelledAnswer(_answer_from_json(line), rouge_l=float(line["rouge_l"]), correct=bool(line["correct"]))
    return UntunedAnswer(_question_from_json(line), labelled)


def _question_to_json(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "question": question.question,
        "context": question.context,
        "references": question.references,
        "group": question.group,
    }


def _question_from_json(line: Mapping[str, Any]) -> Question:
    return Question(
        id=line["id"],
        question=line["question"],
        references=tuple(line["references"]),
        context=line["context"],
        group=line["group"],
    )


def _answer_from_json(line: Mapping[str, Any]) -> SampledAnswer:
    return SampledAnswer(
        text=line["answer"],
        token_ids=tuple(line["token_ids"]),
        log_likelihood=float(line["log_likelihood"]),
        num_tokens=int(line["num_tokens"]),
        terminated=bool(line["terminated"]),
    )


def prediction_file(name: str) -> Lines[Prediction]:
    """A file of predictions of any name."""
    return Lines(name, "prediction", prediction_to_json, prediction_from_json)


PREDICTIONS = prediction_file("predictions.jsonl")
CALIBRATION_PREDICTIONS = prediction_file("calibration_predictions.jsonl")
VALIDATION_PREDICTIONS = prediction_file("validation_predictions.jsonl")
UNTUNED_PREDICTIONS = Lines("predictions_untuned.jsonl", "answer", untuned_to_json, untuned_from_json)
