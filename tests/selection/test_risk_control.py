"""Certified thresholds: by definition, by hand, and in simulations, where a plug-in threshold breaks its promise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binom, norm

from aspire_llm.config import ScoreConfig
from aspire_llm.errors import ConfigError, DataError
from aspire_llm.selection.risk_control import Certified, Uncertified, candidate_thresholds, certify, choose_unit
from aspire_llm.selection.risk_tests import LEAST_RISK, JudgedScores, RiskTarget, Unit, risk_test

SEPARATION = math.sqrt(2) * norm.ppf(0.9)  # of right and wrong answers' scores, for an AUROC of 0.9
ACCURACY = 0.8
TARGET = RiskTarget(0.1, 0.1)


def drawn(n: int, rng: np.random.Generator, largest_group: int = 1, correlation: float = 0.0) -> JudgedScores:
    """Answers whose correctness is as correlated within groups of 1 to some questions as is asked for."""
    sizes = rng.integers(1, largest_group + 1, size=n)
    groups = np.repeat(np.arange(n), sizes)
    own, shared = rng.normal(size=len(groups)), rng.normal(size=n)[groups]
    correct = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own < norm.ppf(ACCURACY)
    return JudgedScores.of(rng.normal(size=len(groups)) + SEPARATION * correct, correct, groups.astype(str))


def true_risk(threshold: float) -> float:
    right, wrong = ACCURACY * norm.sf(threshold - SEPARATION), (1 - ACCURACY) * norm.sf(threshold)
    return wrong / (right + wrong)


def answers(correct: str, groups: str = "") -> JudgedScores:
    """Right (+) and wrong (−) answers, the surest first; a letter for the group of each."""
    count = len(correct)
    return JudgedScores.of(
        [float(count - place) for place in range(count)],
        [own == "+" for own in correct],
        groups or [*map(str, range(count))],
    )


@pytest.mark.parametrize(("risk", "delta"), [(0.0, 0.1), (1.0, 0.1), (0.1, 0.0), (0.1, 1.0), (-0.1, 0.1), (1.5, 0.1)])
def test_what_is_no_share_is_no_target(risk: float, delta: float) -> None:
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        RiskTarget(risk, delta)


@pytest.mark.parametrize("risk", [5e-324, 1e-320, 1e-300, 1e-20, 9e-7])
def test_a_target_that_no_calibration_reaches_is_refused(risk: float) -> None:
    with pytest.raises(ConfigError, match=f"the target risk is {risk:g}; give at least 1e-06"):
        RiskTarget(risk)
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.000001"):
        ScoreConfig(target_risk=risk)


def test_the_least_target_is_told_from_what_it_takes() -> None:
    """ln 20 / 1e-6 answers, all of them right."""
    assert ScoreConfig(target_risk=LEAST_RISK).target_risk == LEAST_RISK
    target, right = RiskTarget(LEAST_RISK), answers("+" * 60)
    assert target.fewest_answers == pytest.approx(math.log(20) * 1e6, rel=1e-5)
    needed = target.answers_needed(LEAST_RISK / 2)
    assert binom.cdf(int(needed * LEAST_RISK / 2), needed, LEAST_RISK) <= 0.05
    assert isinstance(certify(right, target, right, Unit.QUESTION), Uncertified)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        JudgedScores.of([math.nan], [True], ["a"])
    with pytest.raises(DataError, match="need one of each"):
        JudgedScores.of([], [], [])


@given(st.floats(0.01, 0.9), st.floats(0.01, 0.5))
def test_the_fewest_answers_are_the_fewest_that_can_pass(risk: float, delta: float) -> None:
    fewest = RiskTarget(risk, delta).fewest_answers
    assert (1 - risk) ** fewest <= delta * (1 + 1e-9)
    assert (1 - risk) ** (fewest - 1) > delta * (1 - 1e-9)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([(0.1, 0.1), (0.3, 0.05), (0.05, 0.2)]))
def test_the_walk_by_its_definition(seed: int, numbers: tuple[float, float]) -> None:
    rng, target = np.random.default_rng(seed), RiskTarget(*numbers)
    own, pilot = drawn(150, rng), drawn(100, rng)
    last = None
    for threshold in candidate_thresholds(pilot, target, 150):
        given_, wrong = own.scores >= threshold, (own.scores >= threshold) & ~own.correct
        if given_.sum() < target.fewest_answers:
            continue
        if binom.cdf(wrong.sum(), given_.sum(), target.risk) > target.delta:
            break
        last = threshold
    found = certify(own, target, pilot, Unit.QUESTION)
    if last is None:
        assert isinstance(found, Uncertified)
    else:
        assert isinstance(found, Certified)
        assert found.threshold == last
        assert found.coverage == pytest.approx((own.scores >= last).mean())
        assert found.risk == pytest.approx((~own.correct[own.scores >= last]).mean())


def test_thresholds_go_from_strict_to_loose_and_the_last_gives_every_answer_but_withheld_ones() -> None:
    rng = np.random.default_rng(0)
    pilot = drawn(300, rng)
    pilot.scores[:100] = -math.inf
    thresholds = candidate_thresholds(pilot, TARGET, 200)
    assert (np.diff(thresholds) < 0).all()
    assert np.isfinite(thresholds).all()
    given_ = [(pilot.scores >= own).sum() for own in thresholds]
    assert given_[0] >= 300 * TARGET.fewest_answers / 200
    assert given_[-1] == 200


def test_all_right_certifies_every_answer_and_novel_ones_stay_withheld() -> None:
    own = answers("+" * 40)
    own.scores[-4:] = -math.inf
    found = certify(own, TARGET, answers("+" * 40), Unit.QUESTION)
    assert isinstance(found, Certified)
    assert (found.coverage, found.risk) == (pytest.approx(0.9), 0.0)
    assert found.p_value == pytest.approx(0.9**36)


def test_what_cannot_be_certified_says_what_could_be() -> None:
    few = certify(answers("+" * 10), TARGET, answers("+" * 40), Unit.QUESTION)
    assert isinstance(few, Uncertified)
    assert few.reason == "10 independent questions, and it takes 22, all of them right"
    assert few.questions_needed is not None
    assert 22 <= few.questions_needed <= 26
    assert few.lowest_risk == pytest.approx(0.21)  # 0.79¹⁰ = 0.095
    assert few.least_withheld == 0.0
    hopeless = certify(answers("+--" * 100), TARGET, answers("+--" * 50), Unit.QUESTION)
    assert isinstance(hopeless, Uncertified)
    assert "67% of the answers are wrong" in hopeless.reason
    assert hopeless.questions_needed is None
    assert hopeless.least_withheld == pytest.approx((2 / 3 - 0.1) / 0.9)
    nothing = certify(answers("-" * 60), TARGET, answers("-" * 60), Unit.QUESTION)
    assert isinstance(nothing, Uncertified)
    assert (nothing.questions_needed, nothing.lowest_risk, nothing.least_withheld) == (None, None, pytest.approx(1.0))


def test_what_is_said_to_be_certifiable_is_certified() -> None:
    rng = np.random.default_rng(3)
    own, pilot = drawn(120, rng), drawn(300, rng)
    target = RiskTarget(0.03, 0.05)
    found = certify(own, target, pilot, Unit.QUESTION)
    assert isinstance(found, Uncertified)
    assert found.lowest_risk is not None
    assert isinstance(certify(own, RiskTarget(found.lowest_risk, 0.05), pilot, Unit.QUESTION), Certified)
    assert found.questions_needed is not None
    assert found.questions_needed > 120


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([Unit.ONE_PER_GROUP, Unit.GROUP_MEAN]))
def test_the_order_of_questions_and_the_names_of_groups_are_nothing(seed: int, unit: Unit) -> None:
    rng = np.random.default_rng(seed)
    own, pilot = drawn(80, rng, 5, 0.3), drawn(80, rng, 5, 0.3)
    found = certify(own, RiskTarget(0.2, 0.1), pilot, unit)
    renamed = JudgedScores.of(own.scores, own.correct, [f"group {name}" for name in own.groups])
    if unit is Unit.GROUP_MEAN:
        order = rng.permutation(len(own.scores))
        renamed = JudgedScores.of(own.scores[order], own.correct[order], [own.groups[place] for place in order])
    again = certify(renamed, RiskTarget(0.2, 0.1), pilot, unit)
    assert type(again) is type(found)
    if isinstance(found, Certified) and isinstance(again, Certified):
        assert again.threshold == found.threshold
        assert again.coverage == pytest.approx(found.coverage)


def test_each_group_counts_once() -> None:
    """A group of a thousand right answers vouches for no other group."""
    own = JudgedScores.of(
        np.ones(1019), [True] * 1000 + [True, False] * 9 + [True], ["big"] * 1000 + [*map(str, range(19))]
    )
    for unit in (Unit.ONE_PER_GROUP, Unit.GROUP_MEAN):
        assert isinstance(certify(own, TARGET, answers("+" * 40), unit), Uncertified)
    assert isinstance(certify(own, TARGET, answers("+" * 40), Unit.QUESTION), Certified)  # as if they were independent


def test_the_unit_is_chosen_by_what_certifies_more_elsewhere() -> None:
    rng = np.random.default_rng(0)
    single, pairs, large = drawn(100, rng), drawn(200, rng, 2, 0.3), drawn(100, rng, 40, 0.3)
    assert choose_unit(single, TARGET, single.groups) is Unit.QUESTION
    assert choose_unit(pairs, TARGET, pairs.groups) is Unit.ONE_PER_GROUP
    assert choose_unit(large, TARGET, large.groups) is Unit.GROUP_MEAN


@pytest.mark.parametrize("unit", [Unit.ONE_PER_GROUP, Unit.GROUP_MEAN])
def test_a_p_value_at_the_target_is_below_delta_no_more_often_than_delta(unit: Unit) -> None:
    """At a threshold whose risk is exactly the target, with groups of 1 to 5."""
    rng, low, everything = np.random.default_rng(0), 0, np.array([-np.inf])
    for _ in range(1000):
        test = risk_test(drawn(60, rng, 5, 0.3), drawn(60, rng, 5, 0.3), unit, seed=0)
        low += bool(test.p_values(1 - ACCURACY, everything)[0] <= 0.2)
    assert low / 1000 <= 0.2 + 2 * math.sqrt(0.2 * 0.8 / 1000)
    assert low > 0


def test_the_promise_is_kept_where_a_plug_in_threshold_breaks_it() -> None:
    rng, trials = np.random.default_rng(0), 300
    broken = plug_in_broken = 0
    coverage = []
    for _ in range(trials):
        own, pilot = drawn(200, rng), drawn(300, rng)
        found = certify(own, TARGET, pilot, Unit.QUESTION)
        if isinstance(found, Certified):
            broken += true_risk(found.threshold) > TARGET.risk
            coverage.append(found.coverage)
        order = np.argsort(-own.scores)
        risks = np.cumsum(~own.correct[order]) / np.arange(1, 201)
        plug_in_broken += true_risk(own.scores[order][np.flatnonzero(risks <= TARGET.risk)[-1]]) > TARGET.risk
    assert broken / trials <= TARGET.delta + 2 * math.sqrt(0.09 / trials)
    assert plug_in_broken / trials > 0.3
    assert len(coverage) / trials >= 0.9
    assert np.mean(coverage) > 0.65  # of 0.84, which a threshold can answer that knows the truth
