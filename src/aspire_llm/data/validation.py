"""Between a row and a `Question`: every format maps its rows to drafts, and drafts are validated here, once."""

import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeGuard, TypeVar

from aspire_llm.records import Mark, Question

Record = Mapping[str, object]
Item = TypeVar("Item")

_LONGEST_CARRIED = 200  # characters of a text that is carried along
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class InvalidValueError(ValueError):
    """A value does not have the type or content that a question needs; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question as a file states it: nothing has been checked yet.

    Attributes:
        question, answers, context, history: As in `Question`, of whatever type the file held.
        id: None or "" where the file gives none.
        group: None or "" where the file gives none.
        answerable: False where the file says that no answer is right.
        metadata: Whatever else the file says of the question, by name.
        where: The place within its row, e.g. "turn 3"; empty where a row is one question.
        mark: What a person said of an answer to the question.
        needs_answers: False where the question may rightly have none, though it is answerable.
    """

    question: object
    answers: object = None
    context: object = None
    id: object = None
    group: object = None
    history: object = None
    answerable: bool = True
    metadata: Mapping[str, object] = field(default_factory=dict)
    where: str = ""
    mark: Mark | None = None
    needs_answers: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of a row that cannot be made a draft: `message` says why, `where` names the part."""

    message: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """One layout of a data set; every reader module defines exactly one.

    Attributes:
        name: What the user calls it.
        layout: What a record of it looks like, for error messages.
        recognises: Whether a record is of this layout, by its keys and types alone.
        drafts: The questions of one record, in order. May raise `InvalidValueError`.
        repeats: Whether one question may rightly stand in several rows (and then counts once).
    """

    name: str
    layout: str
    recognises: Callable[[Record], bool]
    drafts: Callable[[Record], Iterable[Draft | Fault]]
    repeats: bool = False


def build_question(draft: Draft, *, fallback_id: str, require_answers: bool) -> Question:
    """Validate a draft.

    Args:
        draft: What the file says.
        fallback_id: The id where the file gives none.
        require_answers: Whether an answerable question without any answer is refused.

    Raises:
        InvalidValueError: The first value that is missing, empty or of another type.
    """
    question = read_text(draft.question, "'question'")
    references = _references(draft.answers, required=require_answers and draft.answerable and draft.needs_answers)
    if references and not draft.answerable:
        raise InvalidValueError("the question is marked as impossible to answer and has an answer")
    context = None if is_blank(draft.context) else read_text(draft.context, "'context'")
    history = _history(draft.history)
    return Question(
        id=_identifier(draft.id, "'id'") or fallback_id,
        question=question,
        references=references,
        context=context,
        history=history,
        group=_identifier(draft.group, "'group'") or _group_by_text(question, context, history),
        answerable=draft.answerable,
        metadata={name: value for name, value in draft.metadata.items() if _is_carried(name) and _is_carried(value)},
    )


def id_of(draft: Draft, fallback_id: str) -> str:
    """What the question of a draft is called, whatever else may be wrong with it."""
    try:
        return _identifier(draft.id, "'id'") or fallback_id
    except InvalidValueError:
        return fallback_id


def each(
    label: str, items: Iterable[Item], drafts: Callable[[Item], Iterable[Draft | Fault]]
) -> Iterator[Draft | Fault]:
    """The drafts of every item, each told its place ("turn 3"); an invalid item becomes a fault."""
    for number, item in enumerate(items, 1):
        place = f"{label} {number}"
        try:
            for draft in drafts(item):
                yield replace(draft, where=f"{place}, {draft.where}" if draft.where else place)
        except InvalidValueError as error:
            yield Fault(str(error), place)


def read_record(value: object, name: str) -> Record:
    """`value`, if it is an object with named members."""
    if not isinstance(value, Mapping):
        raise InvalidValueError(f"{name} must be an object, got {_kind(value)}")
    return value


def read_list(record: Record, name: str) -> list[object]:
    """The member `name` of a record, if it is a list."""
    value = record.get(name)
    if not isinstance(value, list):
        raise InvalidValueError(f"'{name}' must be a list, got {_kind(value)}")
    return value


def read_column(record: Record, name: str, key: str) -> list[object]:
    """The values called `key` under the member `name`, however they are laid out.

    ``[{key: a}, {key: b}]`` (the published files), ``{key: [a, b]}`` (the hub's columns) and ``[a, b]`` all give
    ``[a, b]``.
    """
    value = record.get(name)
    if isinstance(value, Mapping):
        return read_list(value, key)
    return [item.get(key) if isinstance(item, Mapping) else item for item in read_list(record, name)]


def read_text(value: object, name: str) -> str:
    """A text without white space around it, if it is one and says anything."""
    if not isinstance(value, str):
        raise InvalidValueError(
            f"{name} is missing" if value is None else f"{name} must be a string, got {_kind(value)}"
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidValueError(f"{name} holds half of a surrogate pair, which no text can") from None
    if not value.strip():
        raise InvalidValueError(f"{name} is empty")
    return value.strip()


def read_flag(value: object, name: str) -> bool | None:
    """True or false, also as the text or the number that tables have for them; None where there is nothing.

    >>> read_flag("False", "'correct'")
    False
    """
    if is_blank(value):
        return None
    text = str(value).strip().casefold() if isinstance(value, bool | int | str) else ""
    if text not in _FLAGS:
        raise InvalidValueError(f"{name} must be true or false, got {value!r:.40}")
    return _FLAGS[text]


def drop_blanks(values: Iterable[object]) -> list[object]:
    """The values without blank texts: published lists of aliases hold some, which are no answers."""
    return [value for value in values if not is_blank(value)]


def first_given(*values: object) -> object:
    """The first of some values that says anything; None where none does."""
    return next((own for own in values if not is_blank(own)), None)


def _references(answers: object, *, required: bool) -> tuple[str, ...]:
    if is_blank(answers) or answers == []:
        if not required:
            return ()
        raise InvalidValueError("there is no answer; expected a string or a list of strings that is not empty")
    if isinstance(answers, str):
        answers = [answers]
    if not isinstance(answers, list):
        raise InvalidValueError(f"the answer must be a string or a list of strings, got {_kind(answers)}")
    texts = [read_text(answer, f"answer {number}") for number, answer in enumerate(answers, 1)]
    return tuple(dict.fromkeys(texts))


def _history(value: object) -> tuple[tuple[str, str], ...]:
    if is_blank(value):
        return ()
    if not isinstance(value, list):
        raise InvalidValueError(f"'history' must be a list of [question, answer] pairs, got {_kind(value)}")
    turns = []
    for number, turn in enumerate(value, 1):
        if not isinstance(turn, list) or len(turn) != 2:
            raise InvalidValueError(f"turn {number} of 'history' must be a [question, answer] pair")
        question, answer = turn
        name = f"of turn {number} of 'history'"
        turns.append((read_text(question, f"the question {name}"), read_text(answer, f"the answer {name}")))
    return tuple(turns)


def _is_carried(value: object) -> TypeGuard[str | int | float | bool]:
    """Whether a name or a value is carried along: a short text, a number, true or false; the rest is let go."""
    match value:
        case str():
            return 0 < len(value.strip()) <= _LONGEST_CARRIED and not any("\ud800" <= own <= "\udfff" for own in value)
        case bool() | int():
            return True
        case float():
            return math.isfinite(value)
        case _:
            return False


def _identifier(value: object, name: str) -> str | None:
    if is_blank(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return read_text(value, name)


def _group_by_text(question: str, context: str | None, history: tuple[tuple[str, str], ...]) -> str:
    """The group of a question that was given none: what must not stand in two splits is its passage, else its text."""
    kind, text = ("question", question) if context is None else ("passage", context)
    if context is None and history:
        text = "\n".join([*(turn for pair in history for turn in pair), question])
    return f"{kind}-{hashlib.sha256(_normalised(text).encode()).hexdigest()[:16]}"


def asked_text(question: Question) -> tuple[str, ...]:
    """What a question puts to a model, without what makes no other question of it (case, white space, punctuation)."""
    turns = [turn for pair in question.history for turn in pair]
    return tuple(map(_normalised, [question.context or "", *turns, question.question]))


def _normalised(text: str) -> str:
    """A text without what makes no other text of it: letter case, white space, punctuation around it."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(" .,:;?!¿¡。？！\"'") or folded


def is_blank(value: object) -> bool:
    """Whether there is nothing, or nothing but white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return f"a {type(value).__name__}"
