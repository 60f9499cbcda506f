"""Predictions as the objects of a response."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aspire_llm.records import Prediction, SampledAnswer
from aspire_llm.results.chosen_fields import candidate_scores
from aspire_llm.selection import Certified, DecisionRule, Infeasible
from aspire_llm.serving.asking import Reply
from aspire_llm.serving.served_model import guarantee_of

JsonObject = dict[str, Any]


def aspire_object(reply: Reply) -> JsonObject:
    """What this server says of an answer beside OpenAI's schema; a withheld one is not in it, but for `candidates`."""
    prediction, rule = reply.prediction, reply.rule
    return {
        "abstained": prediction.abstained,
        "confidence": prediction.confidence,
        "selection_score": _finite(prediction.scored.selection_score),
        "threshold": threshold_of(rule, prediction),
        "reason": prediction.reason,
        "why": prediction.why,
        "novelty": prediction.novelty,
        "context_cut": prediction.context_cut,
        "guarantee": _guarantee(rule, prediction),
        "candidates": _candidates(prediction, rule, reply.candidates),
    }


def threshold_of(rule: DecisionRule, prediction: Prediction) -> JsonObject | None:
    """What an answer must reach to be given; None where nothing decides, or nothing is ever given."""
    own = guarantee_of(rule, prediction.question)
    if rule.guarantee is None:
        if isinstance(rule.calibration, Infeasible):
            return None
        return {"of": "confidence", "value": rule.abstain_below, "confidence": rule.abstain_below}
    if own is None or not isinstance(own.outcome, Certified) or not math.isfinite(own.outcome.threshold):
        return None
    value = own.outcome.threshold
    confidence = None if isinstance(rule.calibration, Infeasible) else rule.calibration.confidence(value)
    return {"of": "selection_score", "value": value, "confidence": confidence}


def answer_row(reply: Reply) -> JsonObject:
    """A row of `/v1/answer`."""
    prediction = reply.prediction
    return {
        "id": prediction.question.id,
        "question": prediction.question.question,
        "answer": prediction.answer,
        "text": prediction.text,
        **aspire_object(reply),
        "error": None,
    }


def failed_row(id: str, question: str, error: str) -> JsonObject:
    """A row of `/v1/answer` for a question that could not be put to the model."""
    keys = ("answer", "text", "confidence", "selection_score", "threshold", "reason", "novelty", "guarantee")
    return {
        "id": id,
        "question": question,
        **dict.fromkeys(keys),
        "abstained": True,
        "why": "the question could not be put to the model",
        "context_cut": False,
        "candidates": [],
        "error": error,
    }


def mirrored(reply: Reply) -> dict[str, str]:
    """The main figures as headers."""
    confidence = reply.prediction.confidence
    known = {} if confidence is None else {"x-aspire-confidence": f"{confidence:.4f}"}
    return {**known, "x-aspire-abstained": "true" if reply.prediction.abstained else "false"}


def usage(replies: Sequence[Reply]) -> JsonObject:
    """Tokens read, and those of the answers given."""
    read = sum(reply.prompt_tokens for reply in replies)
    given = sum(0 if reply.prediction.abstained else reply.prediction.sampled.num_tokens for reply in replies)
    return {"prompt_tokens": read, "completion_tokens": given, "total_tokens": read + given}


class ChatFormat:
    """OpenAI's chat completions: one choice."""

    object, chunk, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    @staticmethod
    def choice(index: int, reply: Reply) -> JsonObject:
        """A whole choice."""
        message = {"role": "assistant", **_said(reply)}
        return {
            "index": index,
            "message": message,
            "logprobs": None,
            "finish_reason": "stop",
            "aspire": aspire_object(reply),
        }

    @staticmethod
    def deltas(index: int, reply: Reply) -> list[JsonObject]:
        """The same in the pieces of a stream."""

        def piece(delta: JsonObject, finish: str | None = None) -> JsonObject:
            return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

        said = {name: value for name, value in _said(reply).items() if value is not None}
        return [
            piece({"role": "assistant", "content": ""}),
            piece(said),
            {**piece({}, "stop"), "aspire": aspire_object(reply)},
        ]


class CompletionFormat:
    """OpenAI's completions: a choice for every prompt."""

    object, chunk, prefix = "text_completion", "text_completion", "cmpl"

    @staticmethod
    def choice(index: int, reply: Reply) -> JsonObject:
        """A whole choice."""
        return {
            "index": index,
            "text": reply.prediction.text,
            "logprobs": None,
            "finish_reason": "stop",
            "aspire": aspire_object(reply),
        }

    @staticmethod
    def deltas(index: int, reply: Reply) -> list[JsonObject]:
        """The same as the one piece of a stream."""
        return [CompletionFormat.choice(index, reply)]


Format = type[ChatFormat] | type[CompletionFormat]


def completion(form: Format, id: str, model: str, replies: Sequence[Reply]) -> JsonObject:
    """The whole object of a response."""
    return {
        **_head(form.object, form, id, model),
        "choices": [form.choice(index, reply) for index, reply in enumerate(replies)],
        "usage": usage(replies),
    }


def chunks(form: Format, id: str, model: str, replies: Sequence[Reply], *, with_usage: bool) -> list[str]:
    """The events of a stream, the last one among them."""
    head = {**_head(form.chunk, form, id, model), **({"usage": None} if with_usage else {})}
    pieces = [piece for index, reply in enumerate(replies) for piece in form.deltas(index, reply)]
    objects: list[JsonObject] = [{**head, "choices": [piece]} for piece in pieces]
    if with_usage:
        objects.append({**head, "choices": [], "usage": usage(replies)})
    return [*map(event, objects), "data: [DONE]\n\n"]


def event(content: Mapping[str, Any]) -> str:
    """An object as an event of a stream."""
    return f"data: {json.dumps(content, ensure_ascii=False, allow_nan=False)}\n\n"


def _head(kind: str, form: Format, id: str, model: str) -> JsonObject:
    return {"id": f"{form.prefix}-{id}", "object": kind, "created": int(time.time()), "model": model}


def _said(reply: Reply) -> JsonObject:
    """The text of a message, or, where that was asked for, of its refusal."""
    prediction = reply.prediction
    if prediction.abstained and reply.refusal:
        return {"content": None, "refusal": prediction.text}
    return {"content": prediction.text, "refusal": None}


def _guarantee(rule: DecisionRule, prediction: Prediction) -> JsonObject | None:
    own = guarantee_of(rule, prediction.question)
    if own is None:
        return None
    return {"target_risk": own.target.risk, "delta": own.target.delta, "sentence": own.sentence}


def _candidates(prediction: Prediction, rule: DecisionRule, count: int) -> list[JsonObject]:
    """The likeliest hypotheses with their scores, the answer first."""
    evidence = prediction.scored.evidence
    scores = candidate_scores(evidence, rule.scoring)
    found: list[tuple[SampledAnswer, float | None]] = [(prediction.sampled, prediction.scored.selection_score)]
    others = zip(evidence.beams, scores, strict=True)
    found += [(beam, score) for beam, score in others if beam != prediction.sampled]
    return [
        {"text": beam.text, "log_likelihood": beam.log_likelihood, "selection_score": _finite(score)}
        for beam, score in found[:count]
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
