"""An answer as every file of a run holds it."""

from typing import Any

from aspire_llm.records import LabelledAnswer, SampledAnswer
from aspire_llm.records.fields import field, flag, natural, naturals, number, text


def answer_to_json(answer: SampledAnswer, key: str = "text") -> dict[str, Any]:
    """The text, under a key, with its tokens and their likelihood."""
    return {
        key: answer.text,
        "token_ids": answer.token_ids,
        "log_likelihood": answer.log_likelihood,
        "num_tokens": answer.num_tokens,
        "terminated": answer.terminated,
    }


def answer_from_json(line: Any, key: str = "text") -> SampledAnswer:
    """The answer that stands in an object whose text has this key."""
    return SampledAnswer(
        text=field(line, key, text),
        token_ids=field(line, "token_ids", naturals),
        log_likelihood=field(line, "log_likelihood", number),
        num_tokens=field(line, "num_tokens", natural),
        terminated=field(line, "terminated", flag),
    )


def labelled_from_json(line: Any, key: str = "text") -> LabelledAnswer:
    """The same with its agreement with the references."""
    return LabelledAnswer(
        answer_from_json(line, key), rouge_l=field(line, "rouge_l", number), correct=field(line, "correct", flag)
    )
