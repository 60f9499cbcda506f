"""The one interface of all selection methods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Flag, auto

from aspire_llm.methods.answer_set import AnswerSet


class Needs(Flag):
    """What a method's cost is made of, beside its own computing."""

    NOTHING = 0
    VERDICT = auto()  # of θs, computed with the answers
    MODEL = auto()  # it runs the model
    SAMPLES = auto()  # further answers, drawn
    FEATURES = auto()  # the answers, read once more by the model


@dataclass(frozen=True, slots=True)
class Method:
    """How sure to be of each answer.

    Attributes:
        name: Its key in `metrics.json`.
        source: Where it was published.
        score: One finite number an answer; higher = more confident.
        needs: What it takes.
        untuned: Whether the paper also applies it to the model before tuning.
        setting: The configuration key without which it cannot run, where there is one.
    """

    name: str
    source: str
    score: Callable[[AnswerSet], Sequence[float]]
    needs: Needs = Needs.NOTHING
    untuned: bool = False
    setting: str | None = None
