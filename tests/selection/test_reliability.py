"""Calibration errors and the Brier score of a confidence, with their intervals."""

import json

import numpy as np
import pytest

from aspire_llm.errors import DataError
from aspire_llm.selection import metrics
from aspire_llm.selection.outcomes import Undefined
from aspire_llm.selection.reliability import ConfidenceMetrics


def answers(n: int, rng: np.random.Generator) -> tuple[list[bool], list[float], list[str]]:
    confidence = rng.random(n)
    return (rng.random(n) < confidence).tolist(), confidence.tolist(), [str(i // 2) for i in range(n)]


def test_the_figures_are_those_of_the_metrics() -> None:
    correct, confidence, groups = answers(500, np.random.default_rng(0))
    found = ConfidenceMetrics.of(correct, confidence, groups, seed=0)
    assert found.ece == pytest.approx(metrics.ece(correct, confidence))
    assert found.brier == pytest.approx(metrics.brier(correct, confidence))
    bins = metrics.equal_mass_bins(np.array(confidence))
    gaps = [
        abs(sum((c - p) for c, p, own in zip(correct, confidence, bins, strict=True) if own == b)) for b in set(bins)
    ]
    assert found.adaptive_ece == pytest.approx(sum(gaps) / 500)
    assert ConfidenceMetrics.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_intervals_are_drawn_over_groups() -> None:
    correct, confidence, groups = answers(400, np.random.default_rng(1))
    found = ConfidenceMetrics.of(correct, confidence, groups, seed=0)
    alone = ConfidenceMetrics.of(correct, confidence, [str(i) for i in range(400)], seed=0)
    few = ConfidenceMetrics.of(correct, confidence, [str(i // 100) for i in range(400)], seed=0)
    for interval, value in ((found.brier_ci, found.brier), (alone.brier_ci, alone.brier)):
        assert not isinstance(interval, Undefined)
        assert interval[0] < value < interval[1]
    assert few.brier_ci != alone.brier_ci
    single = ConfidenceMetrics.of(correct, confidence, ["all"] * 400, seed=0)
    assert isinstance(single.ece_ci, Undefined)
    assert ConfidenceMetrics.from_json(json.loads(json.dumps(single.to_json()))) == single


def test_the_interval_of_the_brier_score_covers_what_it_is_in_the_long_run() -> None:
    rng, covered = np.random.default_rng(2), 0
    for _ in range(100):
        correct, confidence, groups = answers(200, rng)
        interval = ConfidenceMetrics.of(correct, confidence, groups, seed=0).brier_ci
        assert not isinstance(interval, Undefined)
        covered += interval[0] <= 1 / 6 <= interval[1]  # E p(1 − p) of a uniform p
    assert covered >= 88


def test_what_is_no_confidence_is_refused() -> None:
    with pytest.raises(DataError, match="it must stay within"):
        ConfidenceMetrics.of([True, False], [0.5, 1.5], ["a", "b"], seed=0)


def test_bins_of_equal_mass_keep_ties_together() -> None:
    tied = np.array([0.1] * 55 + [0.5] * 30 + [0.9] * 15)
    assert metrics.equal_mass_bins(tied).tolist() == [0] * 55 + [1] * 30 + [2] * 15
    assert np.bincount(metrics.equal_mass_bins(np.arange(100) / 100)).tolist() == [10] * 10
