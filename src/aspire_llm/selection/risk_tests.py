"""Tests of the hypothesis that the risk at a threshold is above a target, valid for any number of observations.

Risk is the share of wrong answers among those that are given.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import ConfigError, DataError
from aspire_llm.selection.metrics import coverage_at_risk

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEAST_RISK = 1e-6  # it takes three million answers, all of them right, to certify that
_NUM_BETS = 20
_ANSWERS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class RiskTarget:
    """What is to be guaranteed: P(risk > `risk`) ≤ `delta`.

    Attributes:
        risk: r, the largest share of wrong answers among those given; at least `LEAST_RISK` and below 1.
        delta: δ, the largest probability that the promise fails; above 0 and below 1.
        per: The field of the questions' metadata for whose every value it is to hold; None: of all questions.
    """

    risk: float
    delta: float = 0.05
    per: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("target risk", self.risk), ("delta", self.delta)):
            if not 0.0 < value < 1.0:
                raise ConfigError(f"the {name} is {value:g}; it must lie between 0 and 1")
        if self.risk < LEAST_RISK:
            raise ConfigError(
                f"the target risk is {self.risk:g}; give at least {LEAST_RISK:g}, which takes 3 million answers"
            )

    @property
    def fewest_answers(self) -> int:
        """⌈ln δ / ln(1 − r)⌉: with fewer, all of them right, nothing can be certified."""
        return math.ceil(math.log(self.delta) / math.log1p(-self.risk))

    def answers_needed(self, wrong: float) -> int:
        """The fewest independent answers m, of which ⌊m · wrong⌋ are wrong, with P(Bin(m, r) ≤ ⌊m · wrong⌋) ≤ δ.

        Args:
            wrong: Share that is wrong, below the target's risk.
        """
        from scipy.stats import binom

        fewest = self.fewest_answers
        while True:
            m = np.arange(fewest, fewest + _ANSWERS_AT_ONCE)
            enough = binom.cdf(np.floor(m * wrong), m, self.risk) <= self.delta
            if enough.any():
                return int(m[enough.argmax()])
            fewest += len(m)


@dataclass(frozen=True)
class JudgedScores:
    """Answers whose correctness is known.

    Attributes:
        scores: float[n], higher = more confident; −inf for one that is withheld whatever the threshold.
        correct: bool[n].
        groups: Of their questions, [n].
    """

    scores: Floats
    correct: Bools
    groups: tuple[str, ...]

    @classmethod
    def of(cls, scores: Sequence[float], correct: Sequence[bool], groups: Sequence[str]) -> "JudgedScores":
        """Check and keep.

        Raises:
            DataError: The lengths differ, there is no answer, or a score is NaN.
        """
        if not len(scores) == len(correct) == len(groups) or not len(scores):
            raise DataError(f"{len(scores)} scores, {len(correct)} labels, {len(groups)} groups; need one of each")
        values = np.asarray(scores, dtype=np.float64)
        if np.isnan(values).any():
            raise DataError(f"{int(np.isnan(values).sum())} of {len(values)} scores are NaN; a score must be a number")
        return cls(values, np.asarray(correct, dtype=np.bool_), tuple(groups))

    @cached_property
    def group_numbers(self) -> Ints:
        """Number of each answer's group, 0 to the number of groups − 1."""
        numbers: Ints = np.unique(np.asarray(self.groups), return_inverse=True)[1]
        return numbers

    @property
    def weights(self) -> Floats:
        """Of the answers: each group weighs the same, and all of them 1."""
        numbers = self.group_numbers
        sizes = np.bincount(numbers)
        weights: Floats = 1.0 / (len(sizes) * sizes[numbers])
        return weights

    def given(self, thresholds: Floats) -> Bools:
        """Whether each answer is given at each threshold, bool[t, n]."""
        return self.scores >= thresholds[:, None]

    def wrong(self, thresholds: Floats) -> Bools:
        """Whether a wrong answer is given at each threshold, bool[t, n]."""
        return self.given(thresholds) & ~self.correct

    def keeps(self, risk: float) -> float:
        """Largest share of answers that a threshold gives with at most the share `risk` of them wrong, 0 to 1."""
        return coverage_at_risk(self.correct, self.scores, risk)

    def taken(self, places: Ints, groups: Sequence[str]) -> "JudgedScores":
        """The answers at some places, as of other groups."""
        return JudgedScores(self.scores[places], self.correct[places], tuple(groups))

    def all_right(self) -> "JudgedScores":
        """The same if no answer were wrong."""
        return replace(self, correct=np.ones_like(self.correct))


class Unit(StrEnum):
    """What is counted as one independent observation."""

    QUESTION = "question"  # every question is a group of its own
    ONE_PER_GROUP = "one_per_group"  # a question drawn from each group
    GROUP_MEAN = "group_mean"  # all questions of each group, by a bet on their means


class RiskTest(Protocol):
    """Tests of the hypothesis that the risk at a threshold is above a target."""

    @property
    def size(self) -> int:
        """Independent observations."""

    def p_values(self, risk: float, thresholds: Floats, *, times: float = 1.0) -> Floats:
        """Of each threshold, float[t]; with `times` as many observations of the same kind."""

    def all_right(self) -> "RiskTest":
        """The same if no answer were wrong."""


@dataclass(frozen=True, slots=True)
class _Binomial:
    """Of m independent answers above a threshold k are wrong: p = P(Bin(m, r) ≤ k)."""

    answers: JudgedScores

    @classmethod
    def of(cls, answers: JudgedScores, unit: Unit, seed: int) -> "_Binomial":
        if unit is Unit.ONE_PER_GROUP:
            shuffled = np.random.default_rng(seed).permutation(np.arange(len(answers.scores)))
            places = shuffled[np.unique(answers.group_numbers[shuffled], return_index=True)[1]]
            return cls(answers.taken(places, [answers.groups[place] for place in places]))
        return cls(answers)

    @property
    def size(self) -> int:
        return len(self.answers.scores)

    def all_right(self) -> "_Binomial":
        return _Binomial(self.answers.all_right())

    def p_values(self, risk: float, thresholds: Floats, *, times: float = 1.0) -> Floats:
        from scipy.special import betainc  # takes a quarter of a second to import, and most runs certify nothing

        answered = self.answers.given(thresholds).sum(axis=1)
        wrong = self.answers.wrong(thresholds).sum(axis=1)
        right = times * (answered - wrong)
        # P(Bin(m, r) ≤ k) as an incomplete beta function, which goes on between whole numbers.
        p_values: Floats = betainc(np.maximum(right, 1.0), times * wrong + 1.0, 1.0 - risk)
        return np.where(right > 0.0, p_values, 1.0)


@dataclass(frozen=True, slots=True)
class _BetOnGroups:
    """A group's gain at a threshold is the mean over its questions of r − [wrong] where answered, 0 where not.

    If the risk is above r the expected gain is below 0, so the capital of a gambler who stakes the share λ of it on
    every group, Π (1 + λ·gain), is expected to shrink, and so is the mean capital over several λ; p = 1 / capital
    (Markov). Half of the weight is on the λ under which capital grows fastest on the pilot.

    Source: Waudby-Smith & Ramdas (2023), betting on bounded means; a λ stays, so the order of the groups is nothing.
    """

    answers: JudgedScores
    pilot: JudgedScores

    @property
    def size(self) -> int:
        return int(self.answers.group_numbers.max()) + 1

    def all_right(self) -> "_BetOnGroups":
        return replace(self, answers=self.answers.all_right())

    def p_values(self, risk: float, thresholds: Floats, *, times: float = 1.0) -> Floats:
        stakes = np.linspace(0.0, 1.0 / (1.0 - risk), _NUM_BETS + 2)[1:-1]
        log_capital = times * self._growth(self.answers, risk, thresholds, stakes)  # [t, stakes]
        best = np.argmax(self._growth(self.pilot, risk, thresholds, stakes), axis=1)
        weights = np.full_like(log_capital, 0.5 / _NUM_BETS)
        weights[np.arange(len(thresholds)), best] += 0.5
        mean = np.logaddexp.reduce(np.log(weights) + log_capital, axis=1)
        p_values: Floats = np.exp(np.minimum(0.0, -mean))
        return p_values

    @staticmethod
    def _growth(answers: JudgedScores, risk: float, thresholds: Floats, stakes: Floats) -> Floats:
        """Logarithm of the capital that each stake makes of 1 at each threshold, float[t, stakes]."""
        numbers = answers.group_numbers
        order = np.argsort(numbers, kind="stable")
        starts = np.searchsorted(numbers[order], np.arange(numbers.max() + 1))
        gains = np.where(answers.given(thresholds), risk - answers.wrong(thresholds), 0.0)[:, order]
        means = np.add.reduceat(gains, starts, axis=1) / np.bincount(numbers)  # [t, groups]
        growth = [np.log1p(stakes[:, None] * own).sum(axis=1) for own in means]
        return np.reshape(growth, (len(thresholds), len(stakes)))


def risk_test(answers: JudgedScores, pilot: JudgedScores, unit: Unit, seed: int) -> RiskTest:
    """The test that counts a unit.

    Args:
        answers: Calibration answers.
        pilot: Other answers, on which bets are chosen.
        unit: What is counted.
        seed: Of the draw of a question from each group.
    """
    return _BetOnGroups(answers, pilot) if unit is Unit.GROUP_MEAN else _Binomial.of(answers, unit, seed)
