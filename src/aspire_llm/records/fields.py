"""The fields of JSON objects, each read as the kind of thing that it must be.

People edit the files of a run, and programs damage them: what stands there is checked where it is read, so that nothing
of another kind gets any further. A number is a JSON number and finite, never a text that looks like one; a truth value
is one, never a number or a text.
"""

import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Kind: TypeAlias = Callable[[Any], T]  # raises TypeError or ValueError for what is none of its kind

_LARGEST = 2**63 - 1  # of whole numbers, as arrays hold them


def field(content: Any, name: str, kind: Kind[T]) -> T:
    """A field of an object.

    Args:
        content: The object.
        name: Of the field.
        kind: What it must be.

    Raises:
        KeyError: The object has no such field.
        TypeError, ValueError: It is of another kind, which the message says after its name; or there is no object.

    >>> field({"risk": 0.1}, "risk", number)
    0.1
    """
    if not isinstance(content, dict):
        raise TypeError(f"{_shown(content)} is no object")
    value = content[name]
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def optional(content: Any, name: str, kind: Kind[T]) -> T | None:
    """The same, or None where it is null or missing: files of earlier versions have fewer fields."""
    if isinstance(content, dict) and content.get(name) is None:
        return None
    return field(content, name, kind)


def number(value: Any) -> float:
    """A finite number."""
    if type(value) is int:
        return float(whole(value))
    if type(value) is not float:
        raise TypeError(f"{_shown(value)} is no number")
    if not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    return value


def whole(value: Any) -> int:
    """A whole number that an array can hold."""
    if type(value) is not int:
        raise TypeError(f"{_shown(value)} is no whole number")
    if abs(value) > _LARGEST:
        raise ValueError("a whole number is beyond all bounds")
    return value


def natural(value: Any) -> int:
    """A whole number from 0 on."""
    if whole(value) < 0:
        raise ValueError(f"{value} counts nothing")
    return int(value)


def naturals(value: Any) -> tuple[int, ...]:
    """A list of whole numbers from 0 on; token ids, of which a run holds many."""
    if type(value) is list and all(type(own) is int and 0 <= own <= _LARGEST for own in value):
        return tuple(value)
    return each(natural)(value)


def flag(value: Any) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise TypeError(f"{_shown(value)} is neither true nor false")
    return value


def text(value: Any) -> str:
    """A text that can be written again."""
    if type(value) is not str:
        raise TypeError(f"{_shown(value)} is no text")
    if not value.isascii():
        value.encode()  # a half of a surrogate pair raises a ValueError
    return value


def maybe(kind: Kind[T]) -> Kind[T | None]:
    """A kind, or null."""
    return lambda value: None if value is None else kind(value)


def each(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """A list of things of one kind."""

    def read(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{_shown(value)} is no list")
        return tuple(map(kind, value))

    return read


def pair(kind: Kind[T]) -> Kind[tuple[T, T]]:
    """A list of two things of one kind."""

    def read(value: Any) -> tuple[T, T]:
        first, second = each(kind)(value)
        return first, second

    return read


def by_name(kind: Kind[T]) -> Kind[dict[str, T]]:
    """An object whose fields are of one kind, whatever their names."""

    def read(value: Any) -> dict[str, T]:
        if not isinstance(value, dict):
            raise TypeError(f"{_shown(value)} is no object")
        return {text(name): field(value, name, kind) for name in value}

    return read


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)[:40]
