"""The weighted closed form against repeated rows, and the coverage of the intervals."""

import math

import numpy as np
import pytest

from aspire_llm.errors import ConfigError
from aspire_llm.records import MethodScores
from aspire_llm.selection import bootstrap as module
from aspire_llm.selection import evaluate, metrics
from aspire_llm.selection.bootstrap import Draws, accuracy_interval, bootstrap, percentile_interval
from aspire_llm.selection.outcomes import Undefined


def make_method(
    *, seed: int, num_groups: int = 25, group_size: int = 4, digits: int = 1, accuracy: float = 0.6
) -> MethodScores:
    rng = np.random.default_rng(seed)
    n = num_groups * group_size
    correct = rng.random(n) < accuracy
    scores = np.round(correct + rng.normal(size=n), digits)  # rounded, so that scores tie
    groups = [f"story {i % num_groups}" for i in range(n)]
    return MethodScores("method", tuple(scores.tolist()), tuple(correct.tolist()), tuple(groups))


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_weights_equal_repeated_rows(digits: int) -> None:
    method = make_method(seed=1, digits=digits)
    draws = bootstrap(method, seed=7, num_resamples=50)
    assert isinstance(draws, Draws)
    correct, scores = np.array(method.correct), np.array(method.scores)
    (weights,) = module.resampled_weights(method.groups, 50, np.random.default_rng(7))
    for i, weight in enumerate(weights):
        rows = np.repeat(np.arange(len(scores)), weight)
        assert draws.auroc[i] == pytest.approx(metrics.auroc(correct[rows], scores[rows]), rel=1e-12)
        assert draws.auacc[i] == pytest.approx(metrics.auacc(correct[rows], scores[rows]), rel=1e-12)


def test_a_group_is_drawn_as_often_in_every_run() -> None:
    """Two seeds of one run share some of their groups: against a resampling of the groups by hand."""
    first, second = make_method(seed=1), make_method(seed=2, num_groups=30, group_size=3)
    draws = bootstrap(first, second, seed=7, num_resamples=40)
    assert isinstance(draws, Draws)
    (weights,) = module.resampled_weights([*first.groups, *second.groups], 40, np.random.default_rng(7))
    for i, weight in enumerate(weights):
        drawn = dict(zip([*first.groups, *second.groups], weight.tolist(), strict=True))
        aurocs, auaccs = [], []
        for run in (first, second):
            rows = np.repeat(np.arange(len(run.scores)), [drawn[group] for group in run.groups])
            correct, scores = np.array(run.correct)[rows], np.array(run.scores)[rows]
            aurocs.append(metrics.auroc(correct, scores))
            auaccs.append(metrics.auacc(correct, scores))
        assert draws.auroc[i] == pytest.approx(np.mean(aurocs), rel=1e-12)
        assert draws.auacc[i] == pytest.approx(np.mean(auaccs), rel=1e-12)


def test_resamples_that_leave_a_run_out_are_none() -> None:
    """Two runs without a common group: half of the resamples of two groups draw one of them twice."""
    runs = [MethodScores("m", (0.1, 0.2), (True, False), (group, group)) for group in ("g", "h")]
    draws = bootstrap(*runs, seed=0, num_resamples=200)
    assert isinstance(draws, Draws)
    assert 60 < len(draws.accuracy) == len(draws.auacc) == len(draws.auroc) < 140
    np.testing.assert_array_equal(draws.auroc, 0.0)  # the right answer scores lower in both


def test_whole_groups_are_drawn_as_many_as_there_are() -> None:
    groups = ("b", "a", "b", "c", "a", "b")
    (weights,) = module.resampled_weights(groups, 400, np.random.default_rng(0))
    a, b, c = weights[:, 1], weights[:, 0], weights[:, 3]
    np.testing.assert_array_equal(weights, np.stack([b, a, b, c, a, b], axis=1))
    np.testing.assert_array_equal(a + b + c, 3)
    # Each group is drawn once a resample on average; the standard error is sqrt(2/3)/20 = 0.04.
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.16)


def test_memory_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make_method(seed=2)
    whole = bootstrap(method, seed=3, num_resamples=37)
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 500)  # 5 resamples of 100 answers at a time
    chunked = bootstrap(method, seed=3, num_resamples=37)
    assert isinstance(whole, Draws)
    assert isinstance(chunked, Draws)
    np.testing.assert_array_equal(whole.auroc, chunked.auroc)
    np.testing.assert_array_equal(whole.auacc, chunked.auacc)


def test_the_order_of_the_rows_changes_nothing() -> None:
    method = make_method(seed=4)
    rows = np.random.default_rng(0).permutation(len(method.scores))
    moved = MethodScores(
        "moved",
        tuple(method.scores[i] for i in rows),
        tuple(method.correct[i] for i in rows),
        tuple(method.groups[i] for i in rows),
    )
    first, second = bootstrap(method, seed=5, num_resamples=20), bootstrap(moved, seed=5, num_resamples=20)
    assert isinstance(first, Draws)
    assert isinstance(second, Draws)
    np.testing.assert_array_equal(first.auroc, second.auroc)
    np.testing.assert_array_equal(first.auacc, second.auacc)


def test_pairing_uses_the_same_resamples_for_both_methods() -> None:
    method = make_method(seed=6)
    rng = np.random.default_rng(1)
    close = MethodScores("close", tuple(s + 0.05 * rng.normal() for s in method.scores), method.correct, method.groups)
    a, b = bootstrap(method, seed=8), bootstrap(close, seed=8)
    other = bootstrap(close, seed=9)
    assert isinstance(a, Draws)
    assert isinstance(b, Draws)
    assert isinstance(other, Draws)
    np.testing.assert_array_equal(a.minus(a).auroc, 0.0)
    paired, unpaired = a.minus(b), a.minus(other)
    # Nearly equal methods differ by little on any one resample, however much both vary between resamples.
    assert np.std(paired.auroc) < 0.3 * np.std(unpaired.auroc)
    assert np.std(paired.auacc) < 0.3 * np.std(unpaired.auacc)


def test_resamples_of_one_class_have_no_auroc() -> None:
    # The wrong answer stands in one of two groups: resamples are RR, RW, WR, WW with equal odds.
    method = MethodScores("few", (0.9, 0.1), (True, False), ("r", "w"))
    draws = bootstrap(method, seed=0, num_resamples=400)
    assert isinstance(draws, Draws)
    assert len(draws.auacc) == 400
    assert 150 < len(draws.auroc) < 250
    np.testing.assert_array_equal(draws.auroc, 1.0)
    # RR has accuracy 1 throughout, WW 0, and the mixed ones (1 + 1/2)/2.
    assert set(draws.auacc.tolist()) == {0.0, 0.75, 1.0}


def test_undefined_where_nothing_can_be_resampled() -> None:
    single = bootstrap(MethodScores("m", (0.1, 0.2), (True, False), ("g", "g")), seed=0)
    assert isinstance(single, Undefined)
    assert "one group" in single.reason
    all_right = bootstrap(MethodScores("m", (0.1, 0.2), (True, True), ("g", "h")), seed=0)
    assert isinstance(all_right, Draws)
    assert percentile_interval(all_right.auroc) == Undefined("no resample holds both right and wrong answers")
    assert percentile_interval(all_right.auacc) == (1.0, 1.0)


def test_percentile_interval_by_hand() -> None:
    # Of 0, 1, …, 1000 the 2.5% and 97.5% quantiles are 25 and 975.
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))


def test_no_resamples() -> None:
    with pytest.raises(ConfigError, match="got 0 resamples"):
        bootstrap(make_method(seed=0), seed=0, num_resamples=0)


@pytest.mark.slow
def test_intervals_cover_the_truth_on_clustered_answers() -> None:
    """Scores N(0, 1) for wrong and N(1, 1) for right answers: AUROC = Φ(1/√2). Every answer stands three times in its
    group, so a bootstrap over answers would be too narrow by √3 and cover about 74%."""
    truth = 0.5 * (1 + math.erf(0.5))
    rng = np.random.default_rng(11)
    covered = 0
    for trial in range(400):
        correct = rng.random(150) < 0.6
        scores = np.repeat(correct + rng.normal(size=150), 3)
        groups = tuple(f"g{i}" for i in range(150) for _ in range(3))
        method = MethodScores("m", tuple(scores.tolist()), tuple(np.repeat(correct, 3).tolist()), groups)
        draws = bootstrap(method, seed=trial, num_resamples=400)
        assert isinstance(draws, Draws)
        interval = percentile_interval(draws.auroc)
        assert not isinstance(interval, Undefined)
        covered += interval[0] <= truth <= interval[1]
    assert 0.91 < covered / 400 < 0.98  # 0.95 ± 3.5 standard errors, less the bootstrap's small-sample optimism


def test_the_interval_of_the_accuracy_by_hand() -> None:
    """Two groups, all right and all wrong: a quarter of the resamples has accuracy 0, a quarter accuracy 1."""
    correct, groups = [True, True, False, False], ["a", "a", "b", "b"]
    assert accuracy_interval(correct, groups, seed=0) == (0.0, 1.0)
    assert accuracy_interval([True] * 4, groups, seed=0) == (1.0, 1.0)
    assert isinstance(accuracy_interval(correct, ["a"] * 4, seed=0), Undefined)
    method = MethodScores("any", (0.3, 0.1, 0.7, 0.2), tuple(correct), tuple(groups))
    figures = evaluate([method], reference_method="any", seed=0).methods["any"]
    assert figures.accuracy_ci == accuracy_interval(correct, groups, seed=0)
