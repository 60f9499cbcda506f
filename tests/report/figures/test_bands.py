"""The bands against the same thing done one resample at a time on repeated rows."""

import inspect

import numpy as np

from aspire_llm.records import MethodScores
from aspire_llm.report.figures.bands import accuracy_band, group_weights, share_band
from aspire_llm.selection import evaluate
from aspire_llm.selection.bootstrap import bootstrap
from aspire_llm.selection.metrics import accuracy_coverage_curve


def method(n: int = 60, *, tied: bool = False) -> MethodScores:
    rng = np.random.default_rng(0)
    correct = rng.random(n) < 0.6
    scores = correct + rng.normal(size=n)
    scores = np.round(scores) if tied else scores
    groups = tuple(f"g{i // 2}" for i in range(n))
    return MethodScores("m", tuple(scores.tolist()), tuple(correct.tolist()), groups)


def test_weights_draw_whole_groups_and_as_many_as_there_are() -> None:
    parts = group_weights(method().groups, 50)
    assert parts is not None
    weights = np.concatenate(parts)
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.sum(axis=1) == 60).all()
    assert weights.std() > 0
    np.testing.assert_array_equal(parts, group_weights(method().groups, 50))
    assert group_weights(["one"] * 5) is None


def test_the_band_is_that_of_curves_over_repeated_rows() -> None:
    for tied in (False, True):
        scored = method(tied=tied)
        weights = group_weights(scored.groups, 40)
        assert weights is not None
        coverages = np.arange(1, 61) / 60
        curves = [
            accuracy_coverage_curve(np.repeat(scored.correct, times), np.repeat(scored.scores, times))
            for times in np.concatenate(weights)
        ]
        band = accuracy_band(scored, coverages, weights)
        low, high = np.quantile(curves, [0.025, 0.975], axis=0)
        np.testing.assert_allclose(band.low, low, atol=1e-12)
        np.testing.assert_allclose(band.high, high, atol=1e-12)


def test_shares_of_sets_and_of_sets_that_were_not_drawn() -> None:
    correct = np.array([True, False, True, True])
    members = np.array([[True, True, False, False], [False, False, True, True], [True, True, True, True]])
    weights = np.array([[2, 0, 1, 1], [0, 0, 2, 2], [1, 3, 0, 0]])
    band = share_band(correct, members, [weights[:2], weights[2:]])
    shares = np.array([[1.0, 1.0, 1.0], [0.5, 1.0, 1.0], [0.25, 1.0, 0.25]])  # an undrawn set keeps what was observed
    np.testing.assert_allclose(band.low, np.quantile(shares, 0.025, axis=0))
    np.testing.assert_allclose(band.high, np.quantile(shares, 0.975, axis=0))


def test_bands_come_from_as_many_resamples_as_intervals() -> None:
    resamples = inspect.signature(bootstrap).parameters["num_resamples"].default
    weights = group_weights(["a", "b", "c"])
    assert weights is not None
    assert (
        sum(map(len, weights)) == resamples == inspect.signature(evaluate).parameters["num_resamples"].default == 1000
    )
