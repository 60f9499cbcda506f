"""Drift: are live questions still like those that calibrated, and is the promised risk still kept?

Every question is answered by a bet against "nothing has changed". Under that hypothesis the capital of the bets grows
beyond 1 / δ with a probability of at most δ, however long one watches and however often one looks (Ville 1939): the
evidence may be read at every moment.

- Scores and novelty: the rank of each live value among the calibration values and all live ones before it is uniform
  and independent of the others as long as all are drawn alike (conformal test martingales; Vovk, Petej, Nouretdinov et
  al. 2021, "Retrain or not retrain", the Simple Jumper).
- Risk, where it is known which of the given answers are wrong: bets on a wrong answer at the odds of the target.

Questions of one group (an article, a conversation, the same question again) are not independent: the first counts.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aspire_llm.records import Question

T = TypeVar("T")
Floats = NDArray[np.float64]

LEVEL = 0.01  # δ: false alarms are at most one in a hundred streams
_JUMP = 0.01  # how readily the jumper changes the side it bets on
_NUM_BETS = 20
_SIDES = np.array([-1.0, 0.0, 1.0])


def first_of_each(items: Iterable[T], question: Callable[[T], Question]) -> list[T]:
    """Of each group the item that came first: whatever comes later changes no bet that was placed.

    Args:
        items: Those of a calibration, or of a stream, in the order in which they came.
        question: That of an item.
    """
    first: dict[str, T] = {}
    for own in items:
        first.setdefault(question(own).cluster, own)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class Watch:
    """The evidence against "nothing has changed" in a stream.

    Attributes:
        log_evidence: Natural logarithm of the capital after each value, float[n]; 0 is where it began.
        level: δ: the alarm is raised where the capital reaches 1 / δ.
    """

    log_evidence: Floats
    level: float = LEVEL

    @property
    def alarm(self) -> int | None:
        """After how many values the alarm was raised first; None where it was not."""
        over = np.flatnonzero(self.log_evidence >= -math.log(self.level))
        return int(over[0]) + 1 if len(over) else None

    @property
    def peak(self) -> float:
        """The largest capital so far, at least 1."""
        return float(np.exp(min(700.0, self.log_evidence.max(initial=0.0))))


class ValueWatch:
    """Are live values drawn like the calibration values? Asked after every one of them.

    Args:
        calibration: Scores, or novelty p-values, of the calibration questions.
        seed: Of breaking ties.

    Attributes:
        log_evidence: Natural logarithm of the capital; 0 is where it began.
    """

    def __init__(self, calibration: Sequence[float], *, seed: int = 0) -> None:
        self._known, self._rng = sorted(calibration), np.random.default_rng(seed)
        self._shares = np.full(3, 1.0 / 3.0)  # of the capital, by side
        self.log_evidence = 0.0

    def add(self, value: float) -> float:
        """One more live value; returns `log_evidence` after it."""
        growth = self._bet(self._rank(value))
        self.log_evidence += math.log(growth)
        return self.log_evidence

    def _rank(self, value: float) -> float:
        """The smoothed rank of a live value among all before it and the calibration values, in (0, 1)."""
        below, up_to = bisect_left(self._known, value), bisect_right(self._known, value)
        rank = (below + self._rng.random() * (up_to - below + 1)) / (len(self._known) + 1)
        insort(self._known, value)
        return rank

    def _bet(self, rank: float) -> float:
        """By what the capital grows of the Simple Jumper, who bets on high ranks, on low ones, or waits."""
        shares = (1.0 - _JUMP) * self._shares + _JUMP / 3.0
        shares = shares * (1.0 + _SIDES * (rank - 0.5))
        growth = float(shares.sum())
        self._shares = shares / growth
        return growth


def watch_values(calibration: Sequence[float], live: Sequence[float], *, level: float = LEVEL, seed: int = 0) -> Watch:
    """Are live values drawn like the calibration values?

    Args:
        calibration: Scores, or novelty p-values, of the calibration questions.
        live: The same of live questions, in the order in which they came.
        level: δ of the alarm.
        seed: Of breaking ties.
    """
    watch = ValueWatch(calibration, seed=seed)
    return Watch(np.array([watch.add(value) for value in live], dtype=np.float64), level)


def watch_risk(wrong: Sequence[bool], target_risk: float, *, level: float = LEVEL) -> Watch:
    """Is the share of wrong answers among those given still at most the target?

    Args:
        wrong: Of each answer that was given, in order.
        target_risk: r, above 0 and below 1.
        level: δ of the alarm.
    """
    stakes = np.linspace(0.0, 1.0 / target_risk, _NUM_BETS + 2)[1:-1]
    gains = np.asarray(wrong, dtype=np.float64) - target_risk
    log_capital = np.cumsum(np.log1p(stakes * gains[:, None]), axis=0)  # [n, stakes]
    return Watch(np.logaddexp.reduce(log_capital, axis=1) - math.log(_NUM_BETS), level)
