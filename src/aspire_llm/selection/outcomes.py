"""Results that are not numbers: each says why, so that nobody has to guess what a stand-in number meant."""

from dataclasses import dataclass
from typing import TypeVar

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
