"""Confidence: fits against known curves and hand-pooled steps, monotone, and the same after a trip through JSON."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from aspire_llm.errors import DataError, RunDirectoryError
from aspire_llm.results.calibration import CALIBRATION
from aspire_llm.selection.confidence import (
    Calibration,
    IsotonicCalibration,
    PlattCalibration,
    UniformCalibration,
    fit_calibration,
)
from aspire_llm.selection.outcomes import Infeasible

METHODS = ["platt", "isotonic"]


def logistic_answers(n: int, seed: int = 0) -> tuple[list[float], list[bool]]:
    """Scores like mean log-likelihoods, and answers that are right with probability σ(3·score + 2)."""
    rng = np.random.default_rng(seed)
    scores = -rng.gamma(2.0, 0.4, size=n)
    return scores.tolist(), (rng.random(n) < expit(3.0 * scores + 2.0)).tolist()


def test_platt_finds_the_curve_that_made_the_answers() -> None:
    calibration = fit_calibration(*logistic_answers(40_000), "platt")
    assert isinstance(calibration, PlattCalibration)
    assert calibration.slope == pytest.approx(3.0, abs=0.1)
    assert calibration.intercept == pytest.approx(2.0, abs=0.1)
    assert calibration.confidence(-0.5) == pytest.approx(expit(0.5), abs=0.01)
    assert calibration.num_items == 40_000


def test_platt_does_not_mind_the_unit_of_the_score() -> None:
    scores, correct = logistic_answers(100)
    nats = fit_calibration(scores, correct)
    bits = fit_calibration([1000.0 * score / math.log(2) - 7.0 for score in scores], correct)
    assert isinstance(nats, Calibration)
    assert isinstance(bits, Calibration)
    for score in (-2.0, -0.5, 0.0):
        assert bits.confidence(1000.0 * score / math.log(2) - 7.0) == pytest.approx(nats.confidence(score), abs=1e-6)


def test_isotonic_pools_by_hand() -> None:
    # Four answers at each of the scores 1…5, with 0, 2, 1, 3, 4 right ones. 2/4 before 1/4 violates the order, so the
    # two pool to 3/8; the rest stands: 0, 3/8, 3/8, 3/4, 1. Twenty answers vouch for no more than 21/22.
    scores = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 4).tolist()
    correct = [i < k for k in (0, 2, 1, 3, 4) for i in range(4)]
    calibration = fit_calibration(scores, correct, "isotonic")
    assert isinstance(calibration, IsotonicCalibration)
    expected = {0.0: 1 / 22, 1.0: 1 / 22, 2.0: 0.375, 2.7: 0.375, 3.0: 0.375, 3.5: 0.5625, 4.0: 0.75, 9.0: 21 / 22}
    for score, confidence in expected.items():
        assert calibration.confidence(score) == pytest.approx(confidence)


def test_a_constant_score_has_the_base_rate_as_confidence() -> None:
    for method in METHODS:
        calibration = fit_calibration([0.1] * 40, [True] * 10 + [False] * 30, method)
        assert isinstance(calibration, Calibration)
        for score in (-math.inf, -5.0, 0.1, 3.0):
            assert calibration.confidence(score) == pytest.approx(0.25)


def test_separable_answers_do_not_become_certain() -> None:
    calibration = fit_calibration([float(i) for i in range(40)], [i >= 20 for i in range(40)])
    assert isinstance(calibration, Calibration)
    assert 0.5 < calibration.confidence(21.0) < 0.99
    assert 0.001 < calibration.confidence(0.0) < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_the_same_after_json(method: str) -> None:
    calibration = fit_calibration(*logistic_answers(300), method)
    assert isinstance(calibration, Calibration)
    content = json.loads(json.dumps(calibration.to_json()))
    assert content["method"] == method
    assert content["num_items"] == 300
    assert Calibration.from_json(content) == calibration


@given(st.sampled_from(METHODS), st.integers(0, 30), st.lists(st.floats(-50, 5), min_size=2, max_size=20))
def test_confidence_never_falls_as_the_score_rises(method: str, seed: int, scores: list[float]) -> None:
    calibration = fit_calibration(*logistic_answers(60, seed), method)
    assert isinstance(calibration, Calibration)
    confidences = [calibration.confidence(score) for score in [-math.inf, *sorted(scores)]]
    assert all(0.0 <= confidence <= 1.0 for confidence in confidences)
    assert confidences == sorted(confidences)


@pytest.mark.parametrize("method", METHODS)
def test_infeasible_on_few_answers_or_one_kind(method: str) -> None:
    scores = [float(i) for i in range(25)]
    assert fit_calibration(scores[:19], [True, False] * 9 + [True], method) == Infeasible(
        "19 calibration answers; it takes at least 20"
    )
    assert isinstance(fit_calibration(scores[:20], [False, True] * 10, method), Calibration)


@pytest.mark.parametrize("method", METHODS)
def test_answers_of_one_kind_have_one_confidence(method: str) -> None:
    scores = [float(i) for i in range(25)]
    right, wrong = (fit_calibration(scores, [kind] * 25, method) for kind in (True, False))
    assert (right, wrong) == (UniformCalibration(25, right=True), UniformCalibration(25, right=False))
    assert isinstance(right, Calibration)
    assert isinstance(wrong, Calibration)
    for score in (-math.inf, 3.0):  # Laplace: (k + 1) / (n + 2)
        assert (right.confidence(score), wrong.confidence(score)) == (26 / 27, 1 / 27)
    for calibration in (right, wrong):
        assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize("method", METHODS)
def test_few_wrong_answers_withhold_and_few_right_ones_vouch_for_nothing(method: str) -> None:
    assert fit_calibration([0.5, -1.0, 2.0], [False] * 3, method) == UniformCalibration(3, right=False)
    assert isinstance(fit_calibration([0.5, -1.0, 2.0], [True] * 3, method), Infeasible)
    assert isinstance(fit_calibration([], [], method), Infeasible)


def test_a_score_that_falls_with_correctness() -> None:
    scores, correct = logistic_answers(200)
    turned = [-score for score in scores]
    platt = fit_calibration(turned, correct, "platt")
    assert isinstance(platt, Infeasible)
    assert "wrong ones score higher than right ones" in platt.reason
    # Isotonic regression has an answer: the share of right answers, next to flat.
    isotonic = fit_calibration([0.0] * 20 + [1.0] * 20, [True] * 20 + [False] * 20, "isotonic")
    assert isinstance(isotonic, Calibration)
    assert isotonic.confidence(0.0) == isotonic.confidence(1.0) == 0.5


def test_bad_scores() -> None:
    with pytest.raises(DataError, match="finite score"):
        fit_calibration([math.nan] * 30, [True, False] * 15)
    with pytest.raises(DataError, match="finite score"):
        fit_calibration([0.0] * 30, [True, False])


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"method": "platt", "num_items": 30, "slope": -1.0, "intercept": 0.0},
        {"method": "platt", "num_items": 30, "slope": math.nan, "intercept": 0.0},
        {"method": "platt", "num_items": 30, "slope": 1.0},
        {"method": "isotonic", "num_items": 30, "scores": [0.0, 1.0], "confidences": [0.5, 0.2]},
        {"method": "isotonic", "num_items": 30, "scores": [0.0, 1.0], "confidences": [0.5]},
        {"method": "isotonic", "num_items": 30, "scores": [0.0, 1.0], "confidences": [0.5, 1.5]},
        {"method": "isotonic", "num_items": 30, "scores": [], "confidences": []},
        {"method": "magic", "num_items": 30},
    ],
)
def test_broken_calibration_files(tmp_path: Path, content: dict[str, object]) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"calibration\.json holds no calibration"):
        CALIBRATION.read(tmp_path)


def test_platt_confidence_by_hand() -> None:
    calibration = PlattCalibration(num_items=50, slope=2.0, intercept=1.0)
    assert logit(calibration.confidence(-0.25)) == pytest.approx(0.5)
    assert calibration.confidence(-math.inf) == 0.0


def test_an_isotonic_map_is_scikit_learn_s_within_what_its_answers_vouch_for() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(5)
    scores = rng.integers(0, 40, size=200).astype(float)  # many tied
    correct = rng.random(200) < scores / 50
    calibration = fit_calibration(scores.tolist(), correct.tolist(), "isotonic")
    assert isinstance(calibration, IsotonicCalibration)
    reference = IsotonicRegression(y_min=1 / 202, y_max=201 / 202, out_of_bounds="clip").fit(scores, correct)
    asked = np.linspace(-2, 42, 99)
    assert [calibration.confidence(own) for own in asked] == pytest.approx(reference.predict(asked).tolist())
    assert len(calibration.scores) < len(set(scores))


def test_what_predicts_held_out_answers_better_is_chosen() -> None:
    rng = np.random.default_rng(0)
    steps = rng.random(600) * 2 - 1
    of_steps = rng.random(600) < np.where(np.abs(steps) < 0.8, 0.5, np.where(steps > 0, 0.97, 0.03))
    assert isinstance(fit_calibration(steps.tolist(), of_steps.tolist(), "auto"), IsotonicCalibration)
    smooth, correct = logistic_answers(300)
    assert isinstance(fit_calibration(smooth, correct, "auto"), PlattCalibration)
    falling = fit_calibration([-score for score in smooth], correct, "auto")
    assert isinstance(falling, Infeasible)
    groups = ["all"] * 300  # one group has no other side
    assert isinstance(fit_calibration(smooth, correct, "auto", groups=groups), PlattCalibration)
