"""Results that are not numbers: each says why, so that nobody has to guess what a stand-in number meant."""

from dataclasses import dataclass
from typing import Any, TypeVar

from aspire_llm.records.fields import Kind, field, maybe, number, pair, text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Undefined:
    """A figure that these data do not define, e.g. AUROC where every answer is correct.

    Attributes:
        reason: One clause that explains it.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A fit that these data do not allow, e.g. a calibration on five answers.

    Attributes:
        reason: One clause that explains it and says what would be needed.
    """

    reason: str


def defined(value: T | Undefined) -> T | None:
    """The figure, or None where these data do not define it."""
    return None if isinstance(value, Undefined) else value


def figure_to_json(name: str, value: float | tuple[float, float] | Undefined) -> dict[str, Any]:
    """A figure under its name; an undefined one is null with a reason beside it."""
    if isinstance(value, Undefined):
        return {name: None, f"{name}_reason": value.reason}
    return {name: list(value) if isinstance(value, tuple) else value}


def figure_from_json(name: str, content: Any) -> float | Undefined:
    """The figure that `figure_to_json` wrote."""
    return _or_undefined(name, content, number)


def interval_from_json(name: str, content: Any) -> tuple[float, float] | Undefined:
    """The interval that `figure_to_json` wrote."""
    return _or_undefined(name, content, pair(number))


def _or_undefined(name: str, content: Any, kind: Kind[T]) -> T | Undefined:
    found = field(content, name, maybe(kind))
    return Undefined(field(content, f"{name}_reason", text)) if found is None else found
