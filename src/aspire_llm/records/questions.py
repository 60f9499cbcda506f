"""Questions, the splits that they stand in, and whose answers they get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Split(StrEnum):
    """The four disjoint parts of a data set; no group of questions stands in two of them."""

    TRAIN = "train"  # stages 1 to 3
    VALIDATION = "validation"  # early stopping
    CALIBRATION = "calibration"  # confidence
    TEST = "test"  # reported figures only


class Answers(StrEnum):
    """Whose answers are scored; figures of different answers are never compared."""

    TUNED = "tuned"
    UNTUNED = "untuned"


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a data set.

    Attributes:
        id: Unique within its data set.
        question: The text asked.
        references: Accepted answers, the first of which is the training target. Empty where the question is
            unanswerable or where nobody knows the answer yet (prediction).
        context: A passage to answer from, or None for closed-book questions.
        history: Earlier (question, answer) turns of a conversation, oldest first.
        group: Questions of one group (story, article, entity) never stand in two splits.
        answerable: False where the data set says that no answer is right (SQuAD v2.0): then any answer is wrong.
        metadata: What else the data say of it, by name: carried along, no part of what is asked.
    """

    id: str
    question: str
    references: tuple[str, ...] = ()
    context: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    group: str = ""
    answerable: bool = True
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict, repr=False, compare=False)

    @property
    def cluster(self) -> str:
        """What is drawn, split or left out as a whole: the group, or the question itself where it has none."""
        return self.group or self.id
