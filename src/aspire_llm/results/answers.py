"""An answer as every file of a run holds it."""

from collections.abc import Mapping
from typing import Any

from aspire_llm.records import SampledAnswer


def answer_to_json(answer: SampledAnswer, key: str = "text") -> dict[str, Any]:
    """The text, under a key, with its tokens and their likelihood."""
    return {
        key: answer.text,
        "token_ids": answer.token_ids,
        "log_likelihood": answer.log_likelihood,
        "num_tokens": answer.num_tokens,
        "terminated": answer.terminated,
    }


def answer_from_json(line: Mapping[str, Any], key: str = "text") -> SampledAnswer:
    """The answer that stands in an object whose text has this key."""
    if line[key] is None:
        raise ValueError(f"{key} is null")
    return SampledAnswer(
        text=str(line[key]),
        token_ids=tuple(line["token_ids"]),
        log_likelihood=float(line["log_likelihood"]),
        num_tokens=int(line["num_tokens"]),
        terminated=bool(line["terminated"]),
    )
