"""Risk control: the threshold that answers most questions while at most a share r of the answers is wrong, guaranteed.

A threshold that is chosen by looking at its own risk keeps its promise about half of the time. Here the promise fails
with a probability of at most δ over the draw of the calibration questions, whatever the model and the score: thresholds
are fixed before any calibration label is seen, and tested from strict to loose, each against the hypothesis that its
risk is above r, until a test fails; the last that passed is taken (fixed-sequence testing within Learn-then-Test,
Angelopoulos et al. 2021, arXiv:2110.01052).

Risk is the share of wrong answers among those that are given. Questions of a group are not independent, so where there
are groups the risk is that of a random question of a random group, and groups are what is counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aspire_llm.selection.risk_tests import JudgedScores, RiskTarget, RiskTest, Unit, risk_test

Floats = NDArray[np.float64]

NUM_THRESHOLDS = 100
_FEW_THRESHOLDS = 25  # where it is only asked which unit certifies more
_NUM_TRIALS = 20
_MOST_TIMES, _STEP = 1000.0, 1.1  # how many times as many questions are thought of, and in which steps


@dataclass(frozen=True, slots=True)
class Certified:
    """A threshold that keeps its target.

    Attributes:
        threshold: Answers of at least this score are given.
        coverage: Share of the calibration questions that are answered.
        risk: Share of the answered calibration questions whose answer is wrong; each group weighs the same.
        p_value: Of the hypothesis that the risk is above the target.
    """

    threshold: float
    coverage: float
    risk: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Uncertified:
    """Why a target cannot be certified on these answers, and what could be.

    Attributes:
        reason: One clause.
        lowest_risk: The lowest target above it that these answers would certify, to the percent; None where there is
            none.
        least_withheld: Share of the questions that any method must withhold to keep the target, even if it withheld
            wrong answers only: (μ − r) / (1 − r), μ the share of wrong answers, and at least 0.
        questions_needed: How many calibration questions in all would do, if they were like these; None where at no
            threshold the answers that these questions got keep the target.
    """

    reason: str
    lowest_risk: float | None
    least_withheld: float
    questions_needed: int | None


def certify(
    answers: JudgedScores, target: RiskTarget, pilot: JudgedScores, unit: Unit, *, seed: int = 0
) -> Certified | Uncertified:
    """The loosest threshold that keeps a target.

    Args:
        answers: To the calibration questions, on which nothing in the score was fitted.
        target: What to guarantee.
        pilot: Answers to other questions (the validation split): thresholds are quantiles of their scores.
        unit: What is counted, see `choose_unit`.
        seed: Of the draw of a question from each group.
    """
    test = risk_test(answers, pilot, unit, seed)
    found = _loosest(test, target, pilot)
    if found is None:
        return _uncertified(answers, test, target, pilot)
    threshold, p_value = found
    at, weights = np.array([threshold]), answers.weights
    coverage = float(weights @ answers.given(at)[0])
    return Certified(
        threshold=threshold,
        coverage=coverage,
        risk=float(weights @ answers.wrong(at)[0]) / coverage,
        p_value=p_value,
    )


def candidate_thresholds(
    pilot: JudgedScores, target: RiskTarget, num_observations: int, count: int = NUM_THRESHOLDS
) -> Floats:
    """Thresholds to test, from strict to loose, float[t]: quantiles, evenly spaced in coverage; the last gives all.

    The first lies between the share f of the questions that is the least with which a test can pass, where it would
    fail by chance, and the share c that keeps the risk on the pilot, where it would let too many wrong answers through:
    f^0.4 · c^0.6. In simulations of 100 to 2,000 questions and accuracies of 47% and 80%, no exponent between ½ and ¾
    certified more.

    Args:
        pilot: Answers to other questions than those that calibrate; −inf for what is withheld whatever the threshold.
        target: To be guaranteed.
        num_observations: Calibration questions, or groups of them.
        count: t, or fewer where scores are tied.
    """
    known = np.sort(pilot.scores)
    least = target.fewest_answers / num_observations
    if least > 1.0:
        return np.empty(0)
    first = max(least, least**0.4 * pilot.keeps(target.risk) ** 0.6)
    places = np.floor(len(known) * (1.0 - np.linspace(first, 1.0, count))).astype(np.int64)
    quantiles = known[places]
    quantiles[-1] = -np.finfo(np.float64).max
    thresholds: Floats = np.unique(quantiles[quantiles > -np.inf])[::-1]
    return thresholds


def choose_unit(pilot: JudgedScores, target: RiskTarget, groups: Sequence[str], *, seed: int = 0) -> Unit:
    """What to count, chosen on other answers than those that calibrate: what certifies the larger coverage of them.

    Args:
        pilot: Answers to other questions (the validation split), whose groups are resampled.
        target: To be guaranteed.
        groups: Of the calibration questions.
        seed: Of the trials.
    """
    num_groups = len(set(groups))
    if num_groups == len(groups):
        return Unit.QUESTION
    totals = dict.fromkeys((Unit.ONE_PER_GROUP, Unit.GROUP_MEAN), 0.0)
    rng = np.random.default_rng(seed)
    numbers = pilot.group_numbers
    members = [np.flatnonzero(numbers == own) for own in range(numbers.max() + 1)]
    for _ in range(_NUM_TRIALS):
        drawn = [members[own] for own in rng.integers(len(members), size=num_groups)]
        places = np.concatenate(drawn)
        names = np.repeat(
            np.arange(num_groups).astype(str), [len(own) for own in drawn]
        ).tolist()  # drawn twice: two groups
        trial = pilot.taken(places, names)
        for unit in totals:
            found = _loosest(risk_test(trial, pilot, unit, seed), target, pilot, _FEW_THRESHOLDS)
            totals[unit] += 0.0 if found is None else float(trial.weights @ trial.given(np.array(found[:1]))[0])
    return max(totals, key=lambda own: totals[own])


def _loosest(
    test: RiskTest, target: RiskTarget, pilot: JudgedScores, count: int = NUM_THRESHOLDS
) -> tuple[float, float] | None:
    """The last threshold that passes before one fails, and its p-value; None where the first one fails."""
    thresholds = candidate_thresholds(pilot, target, test.size, count)
    # Where too few answers are given for any outcome to pass there is nothing to test. That costs no certainty as long
    # as the risk, once it is above the target, stays there when more answers are given.
    thresholds = thresholds[test.all_right().p_values(target.risk, thresholds) <= target.delta]
    p_values = test.p_values(target.risk, thresholds)
    passed = int(np.argmin(np.append(p_values <= target.delta, False)))
    return (float(thresholds[passed - 1]), float(p_values[passed - 1])) if passed else None


def _uncertified(answers: JudgedScores, test: RiskTest, target: RiskTarget, pilot: JudgedScores) -> Uncertified:
    wrong = float(answers.weights @ ~answers.correct)
    needed = _questions_needed(test, target, pilot, len(answers.scores))
    if test.size < target.fewest_answers:
        reason = f"{test.size} independent questions, and it takes {target.fewest_answers}, all of them right"
    elif needed is None:
        reason = f"{100 * wrong:.0f}% of the answers are wrong, and the score does not set enough of them apart"
    else:
        reason = f"{test.size} independent questions are too few to tell"
    return Uncertified(
        reason=reason,
        lowest_risk=_lowest_risk(test, target, pilot),
        least_withheld=float(np.clip((wrong - target.risk) / (1.0 - target.risk), 0.0, 1.0)),
        questions_needed=needed,
    )


def _lowest_risk(test: RiskTest, target: RiskTarget, pilot: JudgedScores) -> float | None:
    above = range(math.floor(100 * target.risk + 1e-9) + 1, 100)
    percents = (RiskTarget(percent / 100, target.delta) for percent in above)
    return next((own.risk for own in percents if _loosest(test, own, pilot)), None)


def _questions_needed(test: RiskTest, target: RiskTarget, pilot: JudgedScores, num_questions: int) -> int | None:
    times = 1.0
    while times < _MOST_TIMES:
        times *= _STEP
        thresholds = candidate_thresholds(pilot, target, int(times * test.size))
        if (test.p_values(target.risk, thresholds, times=times) <= target.delta).any():
            return math.ceil(times * num_questions)
    return None
