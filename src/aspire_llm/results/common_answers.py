"""Answers of two runs to the same questions, by what either run has used them for."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.errors import ConfigError, DataError
from aspire_llm.records import Prediction, Question, Split
from aspire_llm.results.calibration import judged_scores, stored_rule
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import DecisionRule, JudgedScores, UniformCalibration

MIN_QUESTIONS = 20  # of each kind that is needed
_FILES = {
    Split.VALIDATION: VALIDATION_PREDICTIONS,
    Split.CALIBRATION: CALIBRATION_PREDICTIONS,
    Split.TEST: PREDICTIONS,
}
_NEEDED = {
    Split.VALIDATION: "validation questions in common",
    Split.CALIBRATION: "calibration questions in common that neither has learned from or validated on",
}


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """All answers of a finished run whose correctness is known.

    Attributes:
        folder: Of the run.
        config: Of the run.
        rule: What decides about its answers.
        splits: By id, the split that a question stands in.
        answers: By id, decided by the rule.
    """

    folder: Path
    config: RunConfig
    rule: DecisionRule
    splits: Mapping[str, Split]
    answers: Mapping[str, Prediction]

    @classmethod
    def read(cls, folder: Path) -> "StoredAnswers":
        """Of a finished run.

        Raises:
            DataError: All of its calibration answers are wrong.
            RunDirectoryError: There is no run, or it was not finished.
        """
        config = RunDirectory.open(folder).config
        rule = stored_rule(folder, config)
        match rule.calibration:
            case UniformCalibration(num_items=count, right=False):
                raise DataError(
                    f"{folder}: all {count} calibration answers are wrong; it has nothing to give to a cascade"
                )
        splits: dict[str, Split] = {}
        answers: dict[str, Prediction] = {}
        for split, file in _FILES.items():
            for own in map(rule.decide_again, file.read(folder)):
                if own.correct is not None:
                    splits[own.question.id], answers[own.question.id] = split, own
        return cls(folder, config, rule, splits, answers)

    def judged(self, ids: list[str]) -> JudgedScores:
        """The answers to some questions, −inf where the question counts as novel."""
        return judged_scores([self.answers[own] for own in ids], self.config.score.novelty_level)


@dataclass(frozen=True, slots=True)
class CommonAnswers:
    """Answers of two runs to the questions that both have answered, in the same order.

    A run stores answers to its validation, calibration and test questions, and no group of it stands in two splits:
    what both have answered neither has learned from. Where the splits differ, a group counts by the one in which it
    had more to say: validation before calibration before test.

    Attributes:
        small, large: By split; without those of which there are none.
    """

    small: Mapping[Split, JudgedScores]
    large: Mapping[Split, JudgedScores]

    @classmethod
    def of(cls, small: StoredAnswers, large: StoredAnswers) -> "CommonAnswers":
        """What both have answered.

        Raises:
            ConfigError: They are one run, or call other answers correct.
            DataError: They are on other data, or have too few questions in common.
        """
        _check_alike(small, large)
        found = common_ids(small, large)
        for split, what in _NEEDED.items():
            if len(found[split]) < MIN_QUESTIONS:
                raise DataError(
                    f"{small.folder} and {large.folder} have {len(found[split])} {what}; it takes {MIN_QUESTIONS}: "
                    "make both runs on the same data with the same data.splits and seed"
                )
        known = {split: ids for split, ids in found.items() if ids}
        return cls(*({split: run.judged(ids) for split, ids in known.items()} for run in (small, large)))


def common_ids(small: StoredAnswers, large: StoredAnswers) -> dict[Split, list[str]]:
    """The questions that both runs have answered, by the earlier of the two splits in which their group stands.

    Raises:
        DataError: Under one id the runs have different questions.
    """
    order = list(_FILES)
    earliest: dict[str, Split] = {}
    for run in (small, large):
        for name, own in run.answers.items():
            group, split = own.question.cluster, run.splits[name]
            earliest[group] = min(split, earliest.get(group, split), key=order.index)
    found: dict[Split, list[str]] = {split: [] for split in order}
    for name, own in small.answers.items():
        if name not in large.answers:
            continue
        other = large.answers[name].question
        if _content(own.question) != _content(other):
            raise DataError(
                f"{small.folder} and {large.folder} are on other data: question {name!r} is {own.question.question!r} "
                f"in one and {other.question!r} in the other, or its context, earlier turns, answers or group differ"
            )
        found[earliest[own.question.cluster]].append(name)
    return found


def _content(question: Question) -> tuple[object, ...]:
    return question.question, question.context, question.history, question.references, question.group


def _check_alike(small: StoredAnswers, large: StoredAnswers) -> None:
    if os.path.realpath(small.folder) == os.path.realpath(large.folder):
        raise ConfigError(f"{small.folder} and {large.folder} are one run; a cascade takes two")
    one, other = (run.config.correctness.model_dump(exclude={"train_threshold"}) for run in (small, large))
    if differing := [key for key in one if one[key] != other[key]]:
        key = differing[0]
        raise ConfigError(
            f"correctness.{key} is {one[key]} in {small.folder} and {other[key]} in {large.folder}; a cascade takes "
            "runs that call the same answers correct"
        )
