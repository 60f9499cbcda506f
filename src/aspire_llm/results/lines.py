"""The JSON lines of `samples.jsonl` and `predictions.jsonl`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aspire_llm.records import DrawnAnswer, LabelledAnswer, Prediction, Question, SampledAnswer


def sample_line(question_id: str, answers: Sequence[LabelledAnswer]) -> str:
    """A line of `samples.jsonl`: a question's answers, likeliest first."""
    return _dumps(
        {
            "id": question_id,
            "answers": [
                {
                    "text": labelled.answer.text,
                    "token_ids": labelled.answer.token_ids,
                    "log_likelihood": labelled.answer.log_likelihood,
                    "num_tokens": labelled.answer.num_tokens,
                    "terminated": labelled.answer.terminated,
                    "rouge_l": labelled.rouge_l,
                    "correct": labelled.correct,
                }
                for labelled in answers
            ],
        }
    )


def read_sample(line: Mapping[str, Any]) -> tuple[str, list[LabelledAnswer]]:
    """The question id and the answers of a parsed line of `samples.jsonl`."""
    return line["id"], [
        LabelledAnswer(
            SampledAnswer(
                text=answer["text"],
                token_ids=tuple(answer["token_ids"]),
                log_likelihood=answer["log_likelihood"],
                num_tokens=answer["num_tokens"],
                terminated=answer["terminated"],
            ),
            rouge_l=answer["rouge_l"],
            correct=answer["correct"],
        )
        for answer in line["answers"]
    ]


def prediction_line(prediction: Prediction) -> str:
    """A line of `predictions.jsonl`; `answer` stands there also where the system abstained."""
    scored = prediction.scored
    return _dumps(
        {
            **_question(prediction.question),
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
    )


def untuned_line(question: Question, labelled: LabelledAnswer) -> str:
    """A line of `predictions_untuned.jsonl`: what the model answers without any adapter."""
    return _dumps(
        {
            **_question(question),
            "answer": labelled.answer.text,
            "token_ids": labelled.answer.token_ids,
            "log_likelihood": labelled.answer.log_likelihood,
            "num_tokens": labelled.answer.num_tokens,
            "terminated": labelled.answer.terminated,
            "rouge_l": labelled.rouge_l,
            "correct": labelled.correct,
        }
    )


def rival_samples_line(question: Question, samples: Sequence[DrawnAnswer], seconds: float) -> str:
    """A line of `rival_samples.jsonl`: the answers drawn for a question, and the seconds that it took."""
    drawn = [{"text": s.text, "token_ids": s.token_ids, "log_probs": s.log_probs} for s in samples]
    return _dumps({"id": question.id, "seconds": seconds, "samples": drawn})


def read_rival_samples(line: Mapping[str, Any]) -> list[DrawnAnswer]:
    """The drawn answers of a parsed line of `rival_samples.jsonl`."""
    return [DrawnAnswer(s["text"], tuple(s["token_ids"]), tuple(s["log_probs"])) for s in line["samples"]]


def _question(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "question": question.question,
        "context": question.context,
        "references": question.references,
        "group": question.group,
    }


def _dumps(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)
