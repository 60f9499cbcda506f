"""CoQA (Reddy, Chen, Manning 2019): conversations about a story, as published and as on the hub.

Published: ``{"data": [{"id", "story", "questions": [{"input_text", "turn_id"}], "answers": [{"input_text", …}],
"additional_answers": {"0": [{"input_text", …}], …}}]}``. Hub: ``story``, ``questions`` (a list of strings),
``answers`` (``{"input_text": […]}``).

A story is a group, or of the ``group`` that it names. The references of a turn are its answer and the additional ones;
the turns before it, with their first answers, are its history.
"""

from collections.abc import Iterator

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
    read_record,
)


def _recognises(record: Record) -> bool:
    return "story" in record


def _drafts(record: Record) -> Iterator[Draft | Fault]:
    questions = read_column(record, "questions", "input_text")
    answers = _answers_by_turn(record, len(questions))
    story = record.get("id")
    history: list[object] = []

    def turn(item: tuple[int, object, list[object]]) -> Iterator[Draft]:
        number, question, references = item
        yield Draft(
            question=question,
            answers=references,
            context=record.get("story"),
            id=None if story in (None, "") else f"{story}:{number}",
            group=first_given(record.get("group"), story),
            history=list(history),
            metadata={"source": record.get("source")},
        )
        # A broken turn is reported once, not again in the history of every later one.
        if references and all(isinstance(text, str) and text.strip() for text in (question, references[0])):
            history.append([question, references[0]])

    numbers = range(1, len(questions) + 1)
    return each("turn", zip(numbers, questions, answers, strict=True), turn)


def _answers_by_turn(record: Record, turns: int) -> list[list[object]]:
    """All answers to every turn, the main one first."""
    columns = []
    if "answers" in record:
        columns.append(_aligned(record, "answers", turns))
    additional = record.get("additional_answers")
    if additional is not None:
        names = read_record(additional, "'additional_answers'")
        columns += [_aligned(names, name, turns) for name in sorted(names)]
    return [drop_blanks(column[turn] for column in columns) for turn in range(turns)]


def _aligned(record: Record, name: str, turns: int) -> list[object]:
    texts = read_column(record, name, "input_text")
    if len(texts) != turns:
        raise InvalidValueError(f"'{name}' has {len(texts)} entries for {turns} questions; expected one a question")
    return texts


FORMAT = Format(
    name="CoQA",
    layout="CoQA stories with 'story', 'questions', 'answers'",
    recognises=_recognises,
    drafts=_drafts,
)
