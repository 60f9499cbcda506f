"""Whose answers are sampled by a θp that was not tuned on them (beyond the paper).

θp fits the questions that it was tuned on, so its samples to them are not like its samples to new ones, and what learns
to judge from them learns to judge another model than the one it meets. Two ways out: folds, each sampled by a θp that
was tuned on the others, or questions that are held out of tuning altogether.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aspire_llm.config import SamplingConfig
from aspire_llm.errors import DataError
from aspire_llm.records import Question
from aspire_llm.selection.folds import deal_groups


@dataclass(frozen=True, slots=True)
class CrossFit:
    """The training questions by what they are for.

    Attributes:
        tuned: What the θp that answers is tuned on.
        sampled: Whose answers are sampled; θs is learned from them.
        folds: The fold of each sampled question by its id, from 0 on; empty where the θp that answers samples too.
    """

    tuned: tuple[Question, ...]
    sampled: tuple[Question, ...]
    folds: dict[str, int]

    @property
    def num_folds(self) -> int:
        """How many further θp there are."""
        return len(set(self.folds.values()))

    def tuned_for(self, fold: int) -> tuple[Question, ...]:
        """What the θp that samples a fold is tuned on: the other folds."""
        return tuple(question for question in self.tuned if self.folds[question.id] != fold)


def cross_fit(questions: Sequence[Question], config: SamplingConfig, *, seed: int) -> CrossFit:
    """Divide the training questions; no group stands on both sides.

    Args:
        questions: Of the training split.
        config: Says how many folds, or which share is held out.
        seed: Of the division.

    Raises:
        DataError: There are too few groups.
    """
    everything = tuple(questions)
    if config.folds == 1 and not config.held_out:
        return CrossFit(everything, everything, folds={})
    _check_groups(everything, 2 if config.held_out else config.folds)
    if config.held_out:
        shares = _divided(everything, (1 - config.held_out, config.held_out), seed)
        tuned, sampled = (tuple(own for own in everything if shares[own.id] == side) for side in (0, 1))
        return CrossFit(tuned, sampled, folds={})
    return CrossFit(everything, everything, _divided(everything, [1.0] * config.folds, seed))


def _check_groups(questions: Sequence[Question], num_parts: int) -> None:
    if (count := len({question.cluster for question in questions})) < num_parts:
        raise DataError(
            f"the training questions stand in {count} groups, none of which may stand in two of {num_parts} parts; "
            "set stage2.folds to 1 and stage2.held_out to 0"
        )


def _divided(questions: Sequence[Question], shares: Sequence[float], seed: int) -> dict[str, int]:
    """The number of the part that each question is in, by its id."""
    parts = deal_groups([question.cluster for question in questions], shares, seed=seed).tolist()
    return dict(zip((question.id for question in questions), parts, strict=True))
