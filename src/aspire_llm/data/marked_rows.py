"""Rows whose answers people have judged: what `aspire-llm predict` wrote, with `correct` filled in, or your own.

``correct`` is about the very answer of the row: its ``answer``, or its ``withheld_answer`` where there is none. Such an
answer is the model's and no reference; references stand in ``references`` or ``answers``. A row without a mark is a
question row, or a line of `predict` that may have references.
"""

from collections.abc import Iterable

from aspire_llm.data import question_rows
from aspire_llm.data.literals import read_literal
from aspire_llm.data.literals import unfold as unfold_row
from aspire_llm.data.validation import Draft, Fault, Format, InvalidValueError, Record, is_blank, read_flag, read_text
from aspire_llm.records import Mark


def unfold(record: Record) -> Record:
    """The record with what stands in it as text, see `literals.unfold`, but for the answer of a model: that is text."""
    if not _has_own_answer(record) or "answer" not in record:
        return unfold_row(record)
    others = {name: value for name, value in record.items() if name != "answer"}
    return {**unfold_row(others), "answer": record["answer"]}


def _has_own_answer(record: Record) -> bool:
    return "withheld_answer" in record or not is_blank(record.get("correct"))


def _drafts(record: Record) -> Iterable[Draft | Fault]:
    if not _has_own_answer(record):
        return question_rows.FORMAT.drafts(record)
    is_unanswered = not is_blank(record.get("error"))  # it could not be put to the model
    own = Draft(
        question=record.get("question"),
        answers=None if is_unanswered else _references(record),
        context=record.get("context"),
        id=record.get("id"),
        group=record.get("group"),
        history=record.get("history"),
        metadata=question_rows.metadata_of(record),
        mark=None if is_unanswered else _mark(record),
        needs_answers=False,
    )
    return [own]


def _mark(record: Record) -> Mark | None:
    correct = read_flag(record.get("correct"), "'correct'")
    if correct is None:
        return None
    given, withheld = record.get("answer"), record.get("withheld_answer")
    answer = withheld if is_blank(given) and withheld is not None else given
    if answer is None:
        raise InvalidValueError("'correct' is about an answer, and 'answer' is missing")
    return Mark("" if is_blank(answer) else read_text(answer, "'answer'"), correct)


def _references(record: Record) -> object:
    value = record.get("references", record.get("answers"))
    listed = read_literal(value) if isinstance(value, str) else None  # a list in a table
    return listed if isinstance(listed, list) else value


FORMAT = Format(
    name="marked rows",
    layout="rows with 'question', 'answer' and 'correct'",
    recognises=question_rows.FORMAT.recognises,
    drafts=_drafts,
)
