"""Predictions as they are stored: a line per question, of the tuned model and of the untuned one."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import zip_longest
from typing import Any

from aspire_llm.records import (
    Evidence,
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
from aspire_llm.records.fields import by_name, each, field, flag, maybe, number, optional, pair, text
from aspire_llm.results.answers import answer_from_json, answer_to_json, labelled_from_json
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


def _passed_over_from_json(line: Any, given: Evidence) -> PassedOver:
    if not given.beams:
        raise ValueError("there are no beams, of which it is the first")
    evidence = replace(
        given,
        answer=given.beams[0],
        log_self_eval=field(line, "log_self_eval", maybe(_log_probability)),
        states=field(line, "states", maybe(number)),
    )
    return PassedOver(
        ScoredAnswer(evidence, field(line, "selection_score", number)),
        rouge_l=field(line, "rouge_l", maybe(number)),
        correct=field(line, "correct", maybe(flag)),
    )


def _log_probability(value: Any) -> float:
    if number(value) > 0.0:
        raise ValueError(f"{value} is no logarithm of a probability")
    return number(value)


def beam_to_json(beam: SampledAnswer, states: float | None) -> dict[str, Any]:
    """A hypothesis of the search, with its log-odds by the hidden states where they are known."""
    return answer_to_json(beam) | ({} if states is None else {"states": states})


def prediction_from_json(line: Any, *, num_beams: int | None = None) -> Prediction:
    """The prediction of a line, stored or for users; of its question, what a line holds (no history).

    Args:
        line: A line.
        num_beams: How many of the likeliest hypotheses are read; None: all.
    """
    abstained = field(line, "abstained", flag)
    beams, beam_states = _beams_from_json((optional(line, "beams", each(_anything)) or ())[:num_beams])
    evidence = Evidence(
        answer=answer_from_json(line, "withheld_answer" if abstained else "answer"),
        log_self_eval=field(line, "log_self_eval", maybe(_log_probability)),
        states=optional(line, "states", number),
        beams=beams,
        beam_states=beam_states,
    )
    return Prediction(
        question=_question_from_json(line),
        scored=ScoredAnswer(evidence, selection_score=field(line, "selection_score", number)),
        confidence=field(line, "confidence", maybe(number)),
        abstained=abstained,
        why=field(line, "why", text),
        reason=optional(line, "reason", Reason),
        rouge_l=field(line, "rouge_l", maybe(number)),
        correct=field(line, "correct", maybe(flag)),
        novelty=field(line, "novelty", maybe(number)),
        context_cut=field(line, "context_cut", flag),
        target_risk=optional(line, "target_risk", number),
        mark=optional(line, "mark", _mark_from_json),
        passed_over=optional(line, "likeliest", lambda own: _passed_over_from_json(own, evidence)),
    )


def _beams_from_json(lines: Sequence[Any]) -> tuple[tuple[SampledAnswer, ...], tuple[float, ...]]:
    """The hypotheses of the search, and their log-odds by the hidden states where they are known."""
    states = tuple(own for line in lines if (own := optional(line, "states", number)) is not None)
    if states and len(states) < len(lines):
        raise ValueError(f"states are known of {len(states)} of {len(lines)} beams")
    return tuple(map(answer_from_json, lines)), states


def _anything(value: Any) -> Any:
    return value


def _mark_from_json(content: Any) -> Mark:
    return Mark(answer=field(content, "answer", text), correct=field(content, "correct", flag))


def _likeliest_from_json(line: Any) -> Prediction:
    return prediction_from_json(line, num_beams=1)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """A line of what `aspire-llm predict` writes: a prediction with `error` null, or what there is with its error."""
    if isinstance(outcome, Prediction):
        return {**prediction_to_json(outcome), "error": None}
    if isinstance(outcome, Unread):
        asked, why = _question_to_json(Question(outcome.id, "")) | {"question": None}, "the row is no question"
    else:
        asked, why = _question_to_json(outcome.question), "the question could not be put to the model"
    return {**asked, **dict.fromkeys(_OF_AN_ANSWER), "abstained": True, "why": why, "error": outcome.error}


def outcome_from_json(line: Any) -> Outcome:
    """The record that `outcome_to_json` wrote."""
    error = field(line, "error", maybe(text))
    if error is None:
        return prediction_from_json(line)
    if field(line, "question", maybe(text)) is None:
        return Unread(field(line, "id", text), error)
    return Unanswered(_question_from_json(line), error)


def untuned_to_json(untuned: UntunedAnswer) -> dict[str, Any]:
    """A line of `predictions_untuned.jsonl`: what the model answers without any adapter."""
    return {
        **_question_to_json(untuned.question),
        **answer_to_json(untuned.sampled, "answer"),
        "rouge_l": untuned.rouge_l,
        "correct": untuned.correct,
    }


def untuned_from_json(line: Any) -> UntunedAnswer:
    """The record that `untuned_to_json` wrote."""
    return UntunedAnswer(_question_from_json(line), labelled_from_json(line, "answer"))


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


def _question_from_json(line: Any) -> Question:
    return Question(
        id=field(line, "id", text),
        question=field(line, "question", text),
        references=field(line, "references", each(text)),
        context=field(line, "context", maybe(text)),
        history=optional(line, "history", each(pair(text))) or (),
        group=field(line, "group", text),
        metadata=optional(line, "metadata", by_name(_carried)) or {},
    )


def _carried(value: Any) -> str | int | float | bool:
    """What is carried along with a question: a text, a number or a truth value."""
    match value:
        case str():
            return text(value)
        case bool():
            return value
        case int():  # of any size: it is an id, or a count of something
            return value
        case _:
            return number(value)


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
