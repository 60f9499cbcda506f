"""SQuAD v1.1 and v2.0 (Rajpurkar et al. 2016, 2018), as published and as on the hub.

Published: ``{"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text", …}],
"is_impossible"}]}]}]}``. Hub: ``id``, ``title``, ``context``, ``question``, ``answers`` (``{"text": […]}``).

An article is a group, where a hub row names no ``group``; it may have what any row may (``history``, metadata). A
question without an answer is unanswerable where the file says so: by ``is_impossible`` in a published file, by an empty
``text`` list in a hub row (which has no other means).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from aspire_llm.data import question_rows
from aspire_llm.data.validation import (
    Draft,
    Fault,
    Format,
    InvalidValueError,
    Record,
    drop_blanks,
    each,
    first_given,
    read_column,
    read_list,
    read_record,
)


def _recognises(record: Record) -> bool:
    return "paragraphs" in record or isinstance(record.get("answers"), Mapping)


def _drafts(record: Record) -> Iterable[Draft | Fault]:
    if "paragraphs" not in record:
        return [_hub_question(record)]
    title = record.get("title")
    return each("paragraph", read_list(record, "paragraphs"), lambda paragraph: _paragraph(paragraph, title))


def _paragraph(item: object, title: object) -> Iterator[Draft | Fault]:
    paragraph = read_record(item, "a paragraph")
    context = paragraph.get("context")
    return each("question", read_list(paragraph, "qas"), lambda qa: [_question(qa, context, title)])


def _question(item: object, context: object, title: object) -> Draft:
    qa = read_record(item, "a question")
    impossible = qa.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise InvalidValueError("'is_impossible' must be true or false")
    return Draft(
        question=qa.get("question"),
        answers=drop_blanks(read_column(qa, "answers", "text")) if "answers" in qa else None,
        context=context,
        id=qa.get("id"),
        group=title,
        answerable=not impossible,
        metadata={"title": title},
    )


def _hub_question(record: Record) -> Draft:
    answers = None if record.get("answers") is None else read_column(record, "answers", "text")
    return replace(
        question_rows.draft(record),
        answers=drop_blanks(answers or []),
        group=first_given(record.get("group"), record.get("title")),
        answerable=answers != [],
    )


FORMAT = Format(
    name="SQuAD",
    layout="SQuAD articles with 'title', 'paragraphs'",
    recognises=_recognises,
    drafts=_drafts,
)
