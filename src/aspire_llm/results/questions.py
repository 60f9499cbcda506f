"""Questions that a run keeps whole: its few-shot examples."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aspire_llm.records import Question
from aspire_llm.rundir.files import Document


def _from_json(content: Mapping[str, Any]) -> Question:
    history = tuple((asked, answered) for asked, answered in content["history"])
    return Question(**{**content, "references": tuple(content["references"]), "history": history})


EXAMPLES: Document[tuple[Question, ...]] = Document(
    "few_shot.json",
    "few-shot examples",
    lambda examples: [asdict(example) for example in examples],
    lambda content: tuple(_from_json(example) for example in content),
)
