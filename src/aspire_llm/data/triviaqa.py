"""TriviaQA (Joshi et al. 2017), closed book, as published, as on the hub and as a two-column table.

Published: ``{"Data": [{"QuestionId", "Question", "Answer": {"Value", "Aliases"}}]}``. Hub: ``question_id``,
``question``, ``answer`` (``{"value", "aliases"}``). Table without a header: the question, a Python list of aliases.

Questions of one text are a group; a hub row may have what any row may (``group``, ``context``, ``history``, metadata).
The references are the value, then the aliases. A question may stand once with its web and once with its Wikipedia
evidence: it counts once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from aspire_llm.data import question_rows
from aspire_llm.data.validation import (
    Draft,
    Format,
    InvalidValueError,
    Record,
    drop_blanks,
    first_given,
    read_list,
    read_record,
)

_UNKNOWN = "<unk>"  # what the hub's test split holds in place of the answers that were never published


def _recognises(record: Record) -> bool:
    return "Question" in record or isinstance(record.get("answer"), Mapping) or {"question", "aliases"} == set(record)


def _drafts(record: Record) -> Iterator[Draft]:
    if "Question" in record:
        yield Draft(
            question=record["Question"],
            answers=_answers(record.get("Answer"), value="Value", aliases="Aliases"),
            id=record.get("QuestionId"),
        )
    elif "aliases" in record:
        yield Draft(question=record.get("question"), answers=_aliases(record["aliases"]))
    else:
        row = question_rows.draft({name: value for name, value in record.items() if name != "question_id"})
        answers = _answers(record.get("answer"), value="value", aliases="aliases")
        yield replace(row, answers=answers, id=first_given(record.get("question_id"), row.id))


def _answers(answer: object, *, value: str, aliases: str) -> list[object]:
    if answer is None:
        return []
    names = read_record(answer, "the answer")
    others = read_list(names, aliases) if names.get(aliases) is not None else []
    return [text for text in drop_blanks([names.get(value), *others]) if text != _UNKNOWN]


def _aliases(cell: object) -> object:
    if not isinstance(cell, list):
        raise InvalidValueError("the second column must be a Python list of aliases, e.g. ['Paris', 'City of Paris']")
    return drop_blanks(cell)


FORMAT = Format(
    name="TriviaQA",
    layout="TriviaQA questions with 'Question', 'Answer' (or two columns: question, Python list of aliases)",
    recognises=_recognises,
    drafts=_drafts,
    repeats=True,
)
