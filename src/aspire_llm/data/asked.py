"""What a person or a program asks, as a `Question`: cleaned as the readers clean the rows of a file."""

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from aspire_llm.data.validation import Draft, InvalidValueError, build_question
from aspire_llm.errors import DataError
from aspire_llm.records import Question

T = TypeVar("T")

_BYTE_ORDER_MARK = "\ufeff"
_UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Zs"}  # control and format characters, spaces


def as_question(asked: str | Question, *, id: str = "0", context: str | None = None) -> Question:
    """The question that a text, or a record, asks.

    Args:
        asked: A text; or a record, whose texts are cleaned and whose references are left alone.
        id: Of the question, where a text asks it.
        context: A passage to answer from, where a text asks.

    Raises:
        DataError: The question says nothing, or a value is no text.

    >>> as_question(" Who wrote it?\\n", context="").question
    'Who wrote it?'
    """
    own = asked if isinstance(asked, Question) else Question(id, asked, context=context)
    try:
        return cleaned(own)
    except InvalidValueError as error:
        raise DataError(f"question {own.id!r}: {error}") from error


def cleaned(own: Question) -> Question:
    """A question whose texts are cleaned, of the group that a file would give it; its references are left alone.

    Raises:
        InvalidValueError: It says nothing, or a value is no text.
    """
    draft = Draft(
        question=_unmarked(own.question), context=_unmarked(own.context), history=[list(turn) for turn in own.history]
    )
    try:
        clean = build_question(draft, fallback_id=own.id, require_answers=False)
    except InvalidValueError as error:
        raise InvalidValueError(f"{error}; give it as UTF-8 text that says something") from error
    if all(unicodedata.category(character) in _UNSEEN for character in clean.question):
        raise InvalidValueError("'question' holds nothing that can be seen; give a text that says something")
    group = own.group or clean.group  # what is asked here and stands in a file is of one group
    return replace(own, question=clean.question, context=clean.context, history=clean.history, group=group)


def read_passage(path: Path) -> str:
    """The text of a file to answer from, without a byte order mark.

    Raises:
        DataError: It cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r}: cannot read it as UTF-8 text ({error}); save the file as UTF-8") from error


def _unmarked(value: T) -> T | str:
    return value.strip().removeprefix(_BYTE_ORDER_MARK) if isinstance(value, str) else value
