"""Questions about the real world, closed book: cities, countries, elements, airports. The README names the sources.

`scripts/facts/make_facts.py` made ``facts.jsonl``; it is not needed at run time.
"""

import json
from pathlib import Path

from aspire_llm.records import Question

__all__ = ["FACTS_FILE", "facts_questions"]

FACTS_FILE = Path(__file__).parent / "facts.jsonl"
"""Question rows: a JSON object a line, with ``id``, ``question``, ``answers``, ``group`` and ``kind``."""


def facts_questions() -> list[Question]:
    """All questions, in an order that mixes the kinds; `group` is the entity asked about, `kind` is its metadata."""
    with FACTS_FILE.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Question(
            id=row["id"],
            question=row["question"],
            references=tuple(row["answers"]),
            group=row["group"],
            metadata={"kind": row["kind"]},
        )
        for row in rows
    ]
