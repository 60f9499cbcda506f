"""Drift of what a server is asked: the evidence that live scores and questions are no longer those of calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aspire_llm.records import Prediction
from aspire_llm.selection.drift import LEVEL, ValueWatch, first_of_each

MAX_STREAM = 10_000  # live values after which a watch begins anew: memory is bounded, and old questions count no more


class Watched(StrEnum):
    """What is watched of every question."""

    SCORES = "scores"
    QUESTIONS = "questions"  # novelty p-values


@dataclass(slots=True)
class Stream:
    """Live values against those of calibration; of each group of questions the first one counts.

    Attributes:
        calibration: Those of the calibration questions.
        questions: Live values in this stream, each of another group.
        peak: The largest log evidence in it.
        alarm: Whether it, or one before it, was ever beyond the level.
    """

    calibration: Sequence[float]
    questions: int = 0
    peak: float = 0.0
    alarm: bool = False
    _watch: ValueWatch = field(init=False)
    _groups: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._watch = ValueWatch(self.calibration)

    @property
    def log_evidence(self) -> float:
        """Against "nothing has changed", in nats."""
        return self._watch.log_evidence

    def add(self, value: float, group: str) -> None:
        """One more, of a question of a group."""
        if group in self._groups:
            return
        if self.questions == MAX_STREAM:
            self._watch, self.questions, self.peak = ValueWatch(self.calibration), 0, 0.0
            self._groups.clear()
        self._groups.add(group)
        self.questions += 1
        self.peak = max(self.peak, self._watch.add(value))
        self.alarm = self.alarm or self.peak >= -math.log(LEVEL)


class LiveWatch:
    """Watches the predictions of a run as they are made.

    Args:
        calibration: Predictions for the calibration questions, by the rule that decides; where there are none, nothing
            is watched.
    """

    def __init__(self, calibration: Sequence[Prediction]) -> None:
        drawn = first_of_each(calibration, lambda own: own.question)
        novelty = [own.novelty for own in drawn if own.novelty is not None]
        values = {
            Watched.SCORES: [own.scored.selection_score for own in drawn],
            Watched.QUESTIONS: novelty,
        }
        self.streams = {what: Stream(known) for what, known in values.items() if known}

    def add(self, prediction: Prediction) -> None:
        """One more live prediction."""
        values = {Watched.SCORES: prediction.scored.selection_score, Watched.QUESTIONS: prediction.novelty}
        for what, stream in self.streams.items():
            value = values[what]
            if value is not None:
                stream.add(value, prediction.question.cluster)
