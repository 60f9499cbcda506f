"""Metrics against values derived by hand, naive loops, all permutations of ties, and scikit-learn."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from aspire_llm.errors import DataError
from aspire_llm.selection import metrics
from aspire_llm.selection.outcomes import Undefined

# Right, right, wrong, right, wrong from the most confident down: the accuracies of the first i are 1, 1, 2/3, 3/4, 3/5.
CORRECT, SCORE = [True, True, False, True, False], [0.9, 0.8, 0.7, 0.6, 0.5]
# One right answer on top, then a tied block of one right and two wrong ones (μ = 1/3): 1, (1+1/3)/2, (1+2/3)/3, 2/4.
TIED_CORRECT, TIED_SCORE = [False, True, True, False], [1.0, 2.0, 1.0, 1.0]

answers = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=1, max_size=30).map(
    lambda rows: (np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows]))
)
Answers = tuple[np.ndarray, np.ndarray]
RANKING_METRICS = [metrics.auroc, metrics.auacc, metrics.aurc, metrics.e_aurc, metrics.prr]


def naive_auacc(correct: list[bool]) -> float:
    """The mean of the accuracies of the first 1…n answers, which stand in order of confidence."""
    accuracies = [sum(correct[:i]) / i for i in range(1, len(correct) + 1)]
    return sum(accuracies) / len(accuracies)


def test_by_hand_without_ties() -> None:
    np.testing.assert_allclose(metrics.accuracy_coverage_curve(CORRECT, SCORE), [1, 1, 2 / 3, 3 / 4, 3 / 5])
    auacc = (1 + 1 + 2 / 3 + 3 / 4 + 3 / 5) / 5  # 241/300
    assert metrics.auacc(CORRECT, SCORE) == pytest.approx(auacc)
    assert metrics.aurc(CORRECT, SCORE) == pytest.approx(1 - auacc)
    # The ideal order gives 1, 1, 1, 3/4, 3/5: it differs in one place, by 1/3.
    assert metrics.e_aurc(CORRECT, SCORE) == pytest.approx(1 / 15)
    # (241/300 − 3/5) / (261/300 − 3/5) = 61/81
    assert metrics.prr(CORRECT, SCORE) == pytest.approx(61 / 81)
    # Of the 3·2 pairs only (0.6 right, 0.7 wrong) stands the wrong way round.
    assert metrics.auroc(CORRECT, SCORE) == pytest.approx(5 / 6)
    assert metrics.tied_share(SCORE) == 0.0


def test_by_hand_with_ties() -> None:
    np.testing.assert_allclose(metrics.accuracy_coverage_curve(TIED_CORRECT, TIED_SCORE), [1, 2 / 3, 5 / 9, 1 / 2])
    assert metrics.auacc(TIED_CORRECT, TIED_SCORE) == pytest.approx(49 / 72)
    # The right answer on top beats both wrong ones (2); the other ties with both (2·½): 3 of 4.
    assert metrics.auroc(TIED_CORRECT, TIED_SCORE) == pytest.approx(3 / 4)
    assert metrics.tied_share(TIED_SCORE) == 3 / 4


def test_a_constant_score_is_worth_the_accuracy() -> None:
    correct = [True] * 566 + [False] * 434
    for order in (correct, correct[::-1]):
        constant = np.zeros(1000)
        assert metrics.auacc(order, constant) == pytest.approx(0.566)
        assert metrics.auroc(order, constant) == 0.5
        assert metrics.prr(order, constant) == pytest.approx(0.0)
        assert metrics.accuracy_at_coverage(order, constant, 0.5) == pytest.approx(0.566)
        assert metrics.tied_share(constant) == 1.0


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [(0.2, 1.0), (0.5, 2 / 3), (0.8, 3 / 4), (0.9, 3 / 5), (1.0, 3 / 5), (0.01, 1.0)],  # ⌈5·coverage⌉ = 1 3 4 5 5 1
)
def test_accuracy_at_coverage(coverage: float, expected: float) -> None:
    assert metrics.accuracy_at_coverage(CORRECT, SCORE, coverage) == pytest.approx(expected)


def test_accuracy_at_coverage_counts_exact_products_exactly() -> None:
    # 0.07·100 is 7.000000000000001 in floating point, yet 7 answers are meant; the eighth is the first wrong one.
    correct = np.arange(100) < 7
    assert metrics.accuracy_at_coverage(correct, -np.arange(100.0), 0.07) == 1.0


@pytest.mark.parametrize("coverage", [0.0, -0.5, 1.5])
def test_accuracy_at_impossible_coverage(coverage: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        metrics.accuracy_at_coverage(CORRECT, SCORE, coverage)


@pytest.mark.parametrize(("risk", "expected"), [(0.0, 2 / 5), (0.2, 2 / 5), (0.25, 4 / 5), (0.39, 4 / 5), (0.4, 1.0)])
def test_coverage_at_risk(risk: float, expected: float) -> None:
    # Risks of the first i: 0, 0, 1/3, 1/4, 2/5. The third exceeds 0.25 and the fourth keeps it again.
    assert metrics.coverage_at_risk(CORRECT, SCORE, risk) == pytest.approx(expected)


def test_coverage_at_risk_never_splits_a_tie() -> None:
    # Of two answers 1/3 are expected to be wrong, but no threshold accepts two: only one (risk 0) or all four (1/2).
    assert metrics.coverage_at_risk(TIED_CORRECT, TIED_SCORE, 0.4) == 1 / 4
    assert metrics.coverage_at_risk(TIED_CORRECT, TIED_SCORE, 0.5) == 1.0
    assert metrics.coverage_at_risk([False, True], [1.0, 0.0], 0.1) == 0.0  # the surest answer is wrong


def test_coverage_at_risk_keeps_an_exact_risk() -> None:
    # 0.1·30 is 3.0000000000000004 and 0.07·100 is 7.000000000000001, 0.29·100 is 28.999999999999996.
    for wrong, total in [(3, 30), (7, 100), (29, 100)]:
        correct = np.arange(total) >= wrong
        assert metrics.coverage_at_risk(correct, np.zeros(total), wrong / total) == 1.0


@pytest.mark.parametrize(("right", "word"), [(True, "right"), (False, "wrong")])
def test_one_class_is_undefined_not_a_half(right: bool, word: str) -> None:
    reason = Undefined(f"all 3 answers are {word}; it takes both kinds")
    correct, score = [right] * 3, [0.1, 0.2, 0.3]
    assert metrics.auroc(correct, score) == metrics.prr(correct, score) == metrics.roc_curve(correct, score) == reason
    assert metrics.auacc(correct, score) == float(right)
    assert metrics.e_aurc(correct, score) == 0.0


def test_minus_infinity_is_the_lowest_score_and_ties_with_itself() -> None:
    score = [-math.inf, 0.0, -math.inf, -1.0]
    correct = [False, True, True, False]
    finite = [-9.0, 0.0, -9.0, -1.0]
    assert metrics.tied_share(score) == 1 / 2
    for metric in RANKING_METRICS:
        assert metric(correct, score) == metric(correct, finite)


def test_bad_input() -> None:
    with pytest.raises(DataError, match="1 of 2 scores are NaN"):
        metrics.auroc([True, False], [0.1, math.nan])
    with pytest.raises(DataError, match="one score per answer"):
        metrics.auacc([True, False], [0.1])
    with pytest.raises(DataError, match="one score per answer"):
        metrics.auacc([], [])
    with pytest.raises(DataError, match=r"confidence runs from 0\.5 to 1\.2"):
        metrics.ece([True, False], [0.5, 1.2])


@given(answers)
def test_auroc_and_roc_curve_equal_scikit_learn(data: Answers) -> None:
    correct, score = data
    if 0 < correct.sum() < len(correct):
        assert metrics.auroc(correct, score) == pytest.approx(roc_auc_score(correct, score))
        curve = metrics.roc_curve(correct, score)
        assert not isinstance(curve, Undefined)
        x, y, _ = sklearn_roc_curve(correct, score, drop_intermediate=False)
        np.testing.assert_allclose(curve[0], x)
        np.testing.assert_allclose(curve[1], y)


@pytest.mark.parametrize(
    ("correct", "score"),
    [
        ([1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0]),
        ([1, 0, 1, 0, 0, 1], [2, 2, 1, 1, 1, 0]),
        ([0, 0, 1, 1, 1, 0], [1, 0, 1, 0, 1, 1]),
        ([0, 1, 1, 1, 1, 0], [5, 4, 3, 2, 1, 0]),
    ],
)
def test_auacc_is_the_mean_over_all_orders_of_the_ties(correct: list[int], score: list[int]) -> None:
    values = []
    for order in itertools.permutations(range(len(score))):
        ranked = sorted(order, key=lambda i: -score[i])  # stable: ties keep the permutation's order
        values.append(naive_auacc([bool(correct[i]) for i in ranked]))
    assert metrics.auacc(correct, score) == pytest.approx(sum(values) / len(values))


def test_area_metrics_equal_naive_loops() -> None:
    rng = np.random.default_rng(3)
    correct, score = rng.random(200) < 0.4, rng.normal(size=200)
    ranked = [bool(correct[i]) for i in sorted(range(200), key=lambda i: -score[i])]
    risks = [sum(not right for right in ranked[:i]) / i for i in range(1, 201)]
    ideal = naive_auacc(sorted(ranked, reverse=True))
    shuffled = [naive_auacc(list(rng.permutation(correct))) for _ in range(1000)]  # LM-Polygraph's random baseline
    assert metrics.aurc(correct, score) == pytest.approx(sum(risks) / 200)
    assert metrics.e_aurc(correct, score) == pytest.approx(ideal - naive_auacc(ranked))
    prr = (naive_auacc(ranked) - np.mean(shuffled)) / (ideal - np.mean(shuffled))
    assert metrics.prr(correct, score) == pytest.approx(prr, abs=0.02)


@given(answers)
def test_only_the_order_of_the_scores_counts(data: Answers) -> None:
    correct, score = data
    for metric in RANKING_METRICS:
        assert metric(correct, score**3 + 2 * score - 1) == metric(correct, score)


@given(answers, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_count(data: Answers, rng: random.Random) -> None:
    correct, score = data
    rows = list(range(len(score)))
    rng.shuffle(rows)
    for metric in RANKING_METRICS:
        assert metric(correct[rows], score[rows]) == metric(correct, score)
    assert metrics.coverage_at_risk(correct[rows], score[rows], 0.3) == metrics.coverage_at_risk(correct, score, 0.3)


@given(answers)
def test_bounds_and_the_ideal_order(data: Answers) -> None:
    correct, score = data
    curve = metrics.accuracy_coverage_curve(correct, score)
    assert curve.min() >= 0.0
    assert curve.max() <= 1.0 + 1e-12
    assert curve[-1] == pytest.approx(correct.mean())
    assert metrics.auacc(correct, correct.astype(float)) >= metrics.auacc(correct, score) - 1e-12
    assert metrics.auacc(correct, score) >= metrics.auacc(correct, -correct.astype(float)) - 1e-12
    assert metrics.e_aurc(correct, score) >= -1e-12
    prr = metrics.prr(correct, score)
    assert isinstance(prr, Undefined) or prr <= 1.0 + 1e-12


@given(answers)
def test_reversing_the_scores_mirrors_auroc(data: Answers) -> None:
    correct, score = data
    forward, backward = metrics.auroc(correct, score), metrics.auroc(correct, -score)
    if not isinstance(forward, Undefined) and not isinstance(backward, Undefined):
        assert forward + backward == pytest.approx(1.0)


def test_ece_by_hand_with_confidence_exactly_one_and_zero() -> None:
    # Last bin {1.0, 0.95}: accuracy 1/2, confidence 0.975. First bin {0.05, 0.0}: accuracy 0, confidence 0.025.
    assert metrics.ece([False, True, False, False], [1.0, 0.95, 0.05, 0.0]) == pytest.approx((0.475 + 0.025) / 2)
    # Certain and wrong is as bad as it gets; a bin that lost confidence 1.0 would report 0.
    assert metrics.ece([False, False], [1.0, 1.0]) == 1.0
    assert metrics.ece([True, True], [1.0, 1.0]) == 0.0


def test_ece_bins_are_closed_below() -> None:
    # 0.3 opens the bin [0.3, 0.4): alone there, its gap is 0.7; in one bin with 0.25 the gaps would cancel to 0.225.
    assert metrics.ece([True, False], [0.3, 0.25]) == pytest.approx((0.7 + 0.25) / 2)


def test_ece_equals_a_naive_loop() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.random(500)
    correct = rng.random(500) < confidence**2
    total = 0.0
    for k in range(10):
        inside = [i for i in range(500) if k / 10 <= confidence[i] < (k + 1) / 10]
        if inside:
            accuracy = sum(correct[i] for i in inside) / len(inside)
            total += len(inside) / 500 * abs(accuracy - sum(confidence[i] for i in inside) / len(inside))
    assert metrics.ece(correct, confidence) == pytest.approx(total)


def test_brier() -> None:
    # ((1 − 0.8)² + (0 − 0.4)²) / 2 = (0.04 + 0.16) / 2
    assert metrics.brier([True, False], [0.8, 0.4]) == pytest.approx(0.1)
    rng = np.random.default_rng(6)
    correct, confidence = rng.random(300) < 0.5, rng.random(300)
    assert metrics.brier(correct, confidence) == pytest.approx(brier_score_loss(correct, confidence))
