"""Predictions as they are stored: a line per question, of the tuned model and of the untuned one."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import zip_longest
from typing import Any

from aspire_llm.records import (
    Evidence,
    LabelledAnswer,
    Mark,
    PassedOver,
    Prediction,
    Question,
    Reason,
    SampledAnswer,
    ScoredAnswer,
    Unanswered,
    Unread,
    UntunedAnswer,
)
from aspire_llm.results.answers import answer_from_json, answer_to_json
from aspire_llm.rundir.files import Lines

Outcome = Prediction | Unanswered | Unread

# What a line says of an answer, so that one without an answer has the same keys.
_OF_AN_ANSWER = (
    *("answer", "withheld_answer", "token_ids", "selection_score", "confidence", "target_risk", "novelty", "abstained"),
    *("why", "reason"),
    *("context_cut", "log_likelihood", "num_tokens", "terminated", "self_eval", "log_self_eval", "states", "rouge_l"),
    "correct",
)


def prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    """A line for users: `answer` is null where the system abstained, else `withheld_answer` is."""
    scored, evidence = prediction.scored, prediction.scored.evidence
    return {
        **_question_to_json(prediction.question),
        "answer": prediction.answer,
        "withheld_answer": prediction.withheld_answer,
        "token_ids": scored.answer.token_ids,
        "selection_score": scored.selection_score,
        "confidence": prediction.confidence,
        "target_risk": prediction.target_risk,
        "novelty": prediction.novelty,
        "abstained": prediction.abstained,
        "why": prediction.why,
        "reason": prediction.reason,
        "context_cut": prediction.context_cut,
        "log_likelihood": scored.answer.log_likelihood,
        "num_tokens": scored.answer.num_tokens,
        "terminated": scored.answer.terminated,
        "self_eval": evidence.self_eval,
        "log_self_eval": evidence.log_self_eval,
        "states": evidence.states,
        "rouge_l": prediction.rouge_l,
        "correct": prediction.correct,
    }


def stored_to_json(prediction: Prediction) -> dict[str, Any]:
    """A line of `predictions.jsonl`: that for users, and the other hypotheses of the search."""
    evidence = prediction.scored.evidence
    mark = {} if prediction.mark is None else {"mark": asdict(prediction.mark)}
    own = prediction.passed_over
    return {
        **prediction_to_json(prediction),
        **mark,
        **({} if own is None else {"likeliest": _passed_over_to_json(own)}),
        "beams": [beam_to_json(*beam) for beam in zip_longest(evidence.beams, evidence.beam_states)],
    }


def _passed_over_to_json(own: PassedOver) -> dict[str, Any]:
    """What is said of the likeliest answer, which is the first of the beams."""
    return {
        "selection_score": own.scored.selection_score,
        "log_self_eval": own.scored.evidence.log_self_eval,
        "states": own.scored.evidence.states,
        "rouge_l": own.rouge_l,
        "correct": own.correct,
    }


def _passed_over_from_json(line: Mapping[str, Any], given: Evidence) -> PassedOver:
    evidence = replace(
        given,
        answer=given.beams[0],
        log_self_eval=_float_or_none(line["log_self_eval"]),
        states=_float_or_none(line["states"]),
    )
    return PassedOver(ScoredAnswer(evidence, float(line["selection_score"])), line["rouge_l"], line["correct"])


def beam_to_json(beam: SampledAnswer, states: float | None) -> dict[str, Any]:
    """A hypothesis of the search, with its log-odds by the hidden states where they are known."""
    return answer_to_json(beam) | ({} if states is None else {"states": states})


def prediction_from_json(line: Mapping[str, Any]) -> Prediction:
    """The prediction of a line, stored or for users; of its question, what a line holds (no history)."""
    evidence = Evidence(
        answer=answer_from_json(line, "withheld_answer" if line["abstained"] else "answer"),
        log_self_eval=_float_or_none(line["log_self_eval"]),
        states=_float_or_none(line.get("states")),
        beams=tuple(answer_from_json(own) for own in line.get("beams", ())),
        beam_states=tuple(float(own["states"]) for own in line.get("beams", ()) if "states" in own),
    )
    return Prediction(
        question=_question_from_json(line),
        scored=ScoredAnswer(evidence, selection_score=float(line["selection_score"])),
        confidence=_float_or_none(line["confidence"]),
        abstained=bool(line["abstained"]),
        why=line["why"],
        reason=Reason(line["reason"]) if line.get("reason") else None,
        rouge_l=line["rouge_l"],
        correct=line["correct"],
        novelty=_float_or_none(line["novelty"]),
        context_cut=bool(line["context_cut"]),
        target_risk=_float_or_none(line.get("target_risk")),
        mark=Mark(**line["mark"]) if line.get("mark") else None,
        passed_over=_passed_over_from_json(line["likeliest"], evidence) if "likeliest" in line else None,
    )


def _likeliest_from_json(line: Mapping[str, Any]) -> Prediction:
    return prediction_from_json({**line, "beams": line.get("beams", [])[:1]})


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """A line of what `aspire-llm predict` writes: a prediction with `error` null, or what there is with its error."""
    if isinstance(outcome, Prediction):
        return {**prediction_to_json(outcome), "error": None}
    if isinstance(outcome, Unread):
        asked, why = _question_to_json(Question(outcome.id, "")) | {"question": None}, "the row is no question"
    else:
        asked, why = _question_to_json(outcome.question), "the question could not be put to the model"
    return {**asked, **dict.fromkeys(_OF_AN_ANSWER), "abstained": True, "why": why, "error": outcome.error}


def outcome_from_json(line: Mapping[str, Any]) -> Outcome:
    """The record that `outcome_to_json` wrote."""
    if line["error"] is None:
        return prediction_from_json(line)
    if line["question"] is None:
        return Unread(str(line["id"]), str(line["error"]))
    return Unanswered(_question_from_json(line), str(line["error"]))


def untuned_to_json(untuned: UntunedAnswer) -> dict[str, Any]:
    """A line of `predictions_untuned.jsonl`: what the model answers without any adapter."""
    return {
        **_question_to_json(untuned.question),
        **answer_to_json(untuned.sampled, "answer"),
        "rouge_l": untuned.rouge_l,
        "correct": untuned.correct,
    }


def untuned_from_json(line: Mapping[str, Any]) -> UntunedAnswer:
    """The record that `untuned_to_json` wrote."""
    answer = answer_from_json(line, "answer")
    labelled = LabelledAnswer(answer, rouge_l=float(line["rouge_l"]), correct=bool(line["correct"]))
    return UntunedAnswer(_question_from_json(line), labelled)


def _question_to_json(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "question": question.question,
        "context": question.context,
        **({"history": question.history} if question.history else {}),
        "references": question.references,
        "group": question.group,
        **({"metadata": dict(question.metadata)} if question.metadata else {}),
    }


def _question_from_json(line: Mapping[str, Any]) -> Question:
    return Question(
        id=line["id"],
        question=line["question"],
        references=tuple(line["references"]),
        context=line["context"],
        history=tuple((str(asked), str(answered)) for asked, answered in line.get("history", ())),
        group=line["group"],
        metadata=line.get("metadata", {}),
    )


def _float_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


def _predictions(name: str) -> Lines[Prediction]:
    return Lines(name, "prediction", stored_to_json, prediction_from_json, id_of=lambda own: own.question.id)


def outcome_file(name: str) -> Lines[Outcome]:
    """What `aspire-llm predict` writes, under any name."""
    return Lines(name, "prediction", outcome_to_json, outcome_from_json)


PREDICTIONS = _predictions("predictions.jsonl")
# The same file for those who read what became of the questions: of the hypotheses, which are most of it, the likeliest.
DECIDED_PREDICTIONS = replace(PREDICTIONS, to_json=prediction_to_json, from_json=_likeliest_from_json)
CALIBRATION_PREDICTIONS = _predictions("calibration_predictions.jsonl")
LABELLED_PREDICTIONS = _predictions("labelled_predictions.jsonl")  # to other questions that calibrate
LABELLED_PREDICTIONS_PART = _predictions("labelled_predictions.part.jsonl")  # on the way to it
VALIDATION_PREDICTIONS = _predictions("validation_predictions.jsonl")
UNTUNED_PREDICTIONS = Lines(
    "predictions_untuned.jsonl", "answer", untuned_to_json, untuned_from_json, id_of=lambda own: own.question.id
)
