"""Two models on one path of thresholds: composition by hand, and the promise over simulated calibrations."""

import math
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, norm

from aspire_llm.errors import DataError
from aspire_llm.selection import Certified, JudgedScores, RiskTarget, Uncertified, Unit, guarantee
from aspire_llm.selection.cascading import JudgedPairs, LogOdds, ThresholdPath
from aspire_llm.selection.risk_control import candidate_thresholds

PATH = ThresholdPath(LogOdds(2.0, -1.0), LogOdds(0.5, 1.0))
WITHHELD = -math.inf


def judged(scores: list[float], correct: str, groups: str = "abcd") -> JudgedScores:
    return JudgedScores.of(scores, [own == "+" for own in correct], list(groups))


def by_hand() -> JudgedPairs:
    """Levels of the small model 3, 1, −1 and novel; of the large one 0, 2, 1.5, 0.5."""
    small = judged([2.0, 1.0, 0.0, WITHHELD], "+-++")
    return JudgedPairs.along(PATH, small, judged([-2.0, 2.0, 1.0, -1.0], "-+-+"))


def test_a_level_is_a_threshold_of_each_model() -> None:
    assert PATH.thresholds(3.0) == (2.0, 4.0)
    assert LogOdds(2.0, -1.0).levels(np.array([2.0, WITHHELD])).tolist() == [3.0, WITHHELD]
    constant = LogOdds(0.0, 0.3)
    assert constant.levels(np.array([-5.0, 5.0, WITHHELD])).tolist() == [0.3, 0.3, WITHHELD]
    least, most = constant.thresholds(np.array([0.3, 0.31]))
    assert (least, most) == (-np.finfo(float).max, np.finfo(float).max)
    assert np.isfinite(LogOdds(1e-9, 0.0).thresholds(np.array([-np.finfo(float).max]))).all()


def test_who_answers_what_at_each_level() -> None:
    pairs, levels = by_hand(), np.array([2.5, 1.5, 1.0, 0.5, -1.0])
    assert pairs.scores.tolist() == [3.0, 2.0, 1.5, 0.5]
    assert pairs.by_small(levels).tolist() == [
        [True, False, False, False],
        [True, False, False, False],
        [True, True, False, False],
        [True, True, False, False],
        [True, True, True, False],  # the novel question stays with the large model
    ]
    assert pairs.given(levels).sum(axis=1).tolist() == [1, 3, 3, 4, 4]
    # b is the large model's and right until the small one takes it, and c its and wrong until then.
    assert pairs.wrong(levels).tolist() == [
        [False, False, False, False],
        [False, False, True, False],
        [False, True, True, False],
        [False, True, True, False],
        [False, True, False, False],
    ]
    assert pairs.correct.tolist() == [True, True, True, True]  # of one model at least
    assert pairs.keeps(0.3) == 1.0
    assert pairs.keeps(0.2) == 0.5  # a by the small model and b by the large one
    assert not pairs.all_right().wrong(levels).any()
    assert pairs.taken(np.array([2, 1]), ["x", "y"]).wrong(levels)[:, 0].tolist() == [False, True, True, True, False]


def test_the_share_that_keeps_a_risk_by_trying_every_level() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        small, large = models(12, rng)
        rounded = [JudgedScores(np.round(own.scores), own.correct, own.groups) for own in (small, large)]
        pairs = JudgedPairs.along(PATH, *rounded)
        levels = np.concatenate([PATH.small.levels(rounded[0].scores), PATH.large.levels(rounded[1].scores)])
        levels = levels[np.isfinite(levels)]
        answered, wrong = pairs.given(levels).sum(axis=1), pairs.wrong(levels).sum(axis=1)
        assert pairs.keeps(0.25) == answered[wrong <= 0.25 * answered].max(initial=0) / 12


def test_pairs_are_of_the_same_questions() -> None:
    with pytest.raises(DataError, match="need the same questions"):
        JudgedPairs.along(PATH, judged([1.0], "+", "a"), judged([1.0], "+", "b"))


def test_the_map_is_platts_and_the_same_for_all_where_scores_say_nothing() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0.5, 2.0, size=4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-log_odds))
    names = [str(i) for i in range(4001)]
    found = LogOdds.fit(JudgedScores.of([*(log_odds / 3), WITHHELD], [*right, False], names))
    assert found.slope == pytest.approx(3.0, abs=0.3)
    assert found.intercept == pytest.approx(0.0, abs=0.15)
    assert LogOdds.fit(judged([1.0, 2.0, 3.0, WITHHELD], "++-+")) == LogOdds(0.0, math.log(3 / 2))  # too few
    backwards = JudgedScores.of(list(range(30)), [i < 15 for i in range(30)], names[:30])
    assert LogOdds.fit(backwards) == LogOdds(0.0, 0.0)


def test_what_is_certified_is_a_walk_over_pairs_of_thresholds() -> None:
    rng, target = np.random.default_rng(3), RiskTarget(0.2, 0.1)
    pilot = drawn(200, rng)
    own = drawn(300, rng, path=pilot.path)
    last, p_value = None, None
    for level in candidate_thresholds(pilot, target, 300):
        first, second = own.path.thresholds(level)
        wrong = answered = 0
        for place in range(300):
            for model, threshold in ((own.small, first), (own.large, second)):
                if model.scores[place] >= threshold:
                    answered += 1
                    wrong += not model.correct[place]
                    break
        if answered < target.fewest_answers:
            continue
        if binom.cdf(wrong, answered, target.risk) > target.delta:
            break
        last, p_value, share = level, binom.cdf(wrong, answered, target.risk), answered / 300
    found = guarantee(own, pilot, target, score="aspire")
    assert found.unit is Unit.QUESTION
    assert isinstance(found.outcome, Certified)
    assert found.outcome.threshold == last
    assert found.outcome.p_value == pytest.approx(p_value)
    assert found.outcome.coverage == pytest.approx(share)


def test_a_large_model_that_withholds_everything_leaves_the_small_one() -> None:
    rng, target = np.random.default_rng(4), RiskTarget(0.2, 0.1)
    pilot, own = (
        JudgedPairs.along(PATH, part.small, JudgedScores(part.large.scores - np.inf, part.large.correct, part.groups))
        for part in (drawn(200, rng), drawn(300, rng))
    )
    together, alone = (guarantee(*pair, target, score="") for pair in ((own, pilot), (own.small, pilot.small)))
    assert isinstance(together.outcome, Certified)
    assert together.outcome.coverage == alone.outcome.coverage  # type: ignore[union-attr]
    first, _ = PATH.thresholds(together.outcome.threshold)
    assert first == pytest.approx(alone.outcome.threshold)  # type: ignore[union-attr]


def test_two_models_that_know_nothing_certify_nothing() -> None:
    rng = np.random.default_rng(5)
    part = drawn(300, rng)
    wrong = [JudgedScores(own.scores, rng.random(300) < 0.3, own.groups) for own in (part.small, part.large)]
    pairs = JudgedPairs.along(part.path, *wrong)
    found = guarantee(pairs, pairs, RiskTarget(0.1), score="")
    assert isinstance(found.outcome, Uncertified)
    neither = 1 - (wrong[0].correct | wrong[1].correct).mean()
    assert found.outcome.least_withheld == pytest.approx((neither - 0.1) / 0.9)  # where neither is right


SMALL, LARGE = (0.6, math.sqrt(2) * norm.ppf(0.85)), (0.8, math.sqrt(2) * norm.ppf(0.9))


def models(count: int, rng: np.random.Generator, sizes: int = 1) -> tuple[JudgedScores, JudgedScores]:
    """Two models of an accuracy of 60% and 80%, AUROC .85 and .90, that find the same questions hard; 2% are novel.

    Args:
        count: Of groups.
        rng: For all that is drawn.
        sizes: Most questions of a group, which are alike.
    """
    groups = np.repeat(np.arange(count), rng.integers(1, sizes + 1, size=count))
    total = len(groups)
    shared = rng.normal(size=count)[groups] if sizes > 1 else rng.normal(size=total)
    found = []
    for accuracy, separation in (SMALL, LARGE):
        right = math.sqrt(0.5) * shared + math.sqrt(0.5) * rng.normal(size=total) < norm.ppf(accuracy)
        scores = rng.normal(size=total) + separation * right
        scores[rng.random(total) < 0.02] = WITHHELD
        found.append(JudgedScores(scores, right, tuple(map(str, groups))))
    return found[0], found[1]


def drawn(count: int, rng: np.random.Generator, sizes: int = 1, path: ThresholdPath | None = None) -> JudgedPairs:
    """Answers on a path that is fitted on them, or on a given one."""
    small, large = models(count, rng, sizes)
    return JudgedPairs.along(path or ThresholdPath.fit(small, large), small, large)


@cache
def population() -> tuple[JudgedScores, JudgedScores]:
    return models(400_000, np.random.default_rng(99))


def true_risk(first: float, second: float) -> tuple[float, float]:
    """Risk and coverage of a pair of thresholds; groups share the questions' marginal distribution."""
    small, large = population()
    by_small = small.scores >= first
    by_large = ~by_small & (large.scores >= second)
    answered = by_small.sum() + by_large.sum()
    return float((by_small & ~small.correct).sum() + (by_large & ~large.correct).sum()) / answered, answered / 400_000


def simulated(simulations: int, count: int, sizes: int, target: RiskTarget) -> None:
    rng = np.random.default_rng(1)
    broken, coverages = 0, []
    for _ in range(simulations):
        pilot = drawn(200 if sizes == 1 else 100, rng, sizes)
        found = guarantee(drawn(count, rng, sizes, pilot.path), pilot, target, score="").outcome
        if isinstance(found, Certified):
            risk, coverage = true_risk(*pilot.path.thresholds(found.threshold))
            broken += risk > target.risk
            coverages.append(coverage)
    print(
        f"broken {broken / simulations:.3f}, certified {len(coverages) / simulations:.3f}, coverage "
        f"{sum(coverages) / simulations:.3f}"
    )
    assert broken / simulations <= target.delta + 2 * math.sqrt(target.delta * (1 - target.delta) / simulations)
    assert len(coverages) / simulations >= 0.85
    assert sum(coverages) / simulations >= 0.55  # the small model alone could answer 0.36


def test_the_promise_fails_no_more_often_than_delta() -> None:
    simulated(300, 300, 1, RiskTarget(0.1, 0.1))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "sizes"), [(300, 1), (150, 4)])
def test_the_promise_fails_no_more_often_than_delta_in_many_simulations(count: int, sizes: int) -> None:
    simulated(2000, count, sizes, RiskTarget(0.1, 0.1))
