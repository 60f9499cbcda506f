"""Rows that are one question each: NQ-open (Lee, Chang, Toutanova 2019) and anybody's own data.

``question``; ``answer`` and/or ``answers`` (a string or a list; with both, ``answer`` comes first); optional
``context``, ``id``, ``group`` and ``history`` (a list of [question, answer] turns). Other columns that hold short
texts, numbers or truth values are carried along as metadata, as are the members of ``metadata``.

Without a group, a question belongs to its passage, and without a passage to all questions of the same text.
"""

from collections.abc import Mapping

from aspire_llm.data.validation import Draft, Format, Record

_COLUMNS = frozenset(
    {"question", "answer", "answers", "context", "id", "group", "history", "metadata"}
    | {"references", "withheld_answer", "correct"}  # of rows that are about a model's answer
)
_FLATTENED = ("answer.", "answers.")  # members of those, in columns of their own


def _recognises(record: Record) -> bool:
    return not {"question", "answer", "answers"}.isdisjoint(record)


def draft(record: Record) -> Draft:
    """The question of a row, unchecked."""
    return Draft(
        question=record.get("question"),
        answers=_answers(record.get("answer"), record.get("answers")),
        context=record.get("context"),
        id=record.get("id"),
        group=record.get("group"),
        history=record.get("history"),
        metadata=metadata_of(record),
    )


def metadata_of(record: Record) -> Record:
    """What a row says of its question beside what every question has."""
    given = record.get("metadata")
    known = given if isinstance(given, Mapping) else {}
    if "selection_score" in record:  # a line that was predicted: its columns are about an answer
        return known
    own = {name: value for name, value in record.items() if name not in _COLUMNS and not name.startswith(_FLATTENED)}
    return {**own, **known}


def _answers(answer: object, answers: object) -> object:
    if answer in (None, "", []) or answers in (None, "", []):
        return answers if answer in (None, "", []) else answer
    return [*_as_list(answer), *_as_list(answers)]


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


FORMAT = Format(
    name="question rows",
    layout="rows with 'question' and 'answer' or 'answers'",
    recognises=_recognises,
    drafts=lambda record: [draft(record)],
)
