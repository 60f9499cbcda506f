"""Means over runs by hand, and that a group which several runs share is resampled in all of them at once."""

import numpy as np
import pytest

from aspire_llm.errors import ConfigError
from aspire_llm.records import MethodScores
from aspire_llm.selection import Undefined, metrics
from aspire_llm.selection.pooled import PooledMethods


def make_run(seed: int, groups: int = 60) -> list[MethodScores]:
    """A good method and a poor one on the same answers, two to a group."""
    rng = np.random.default_rng(seed)
    correct = rng.random(2 * groups) < 0.6
    names = tuple(f"group {i // 2}" for i in range(2 * groups))
    return [
        MethodScores(name, tuple((signal * correct + rng.normal(size=len(correct))).tolist()), tuple(correct), names)
        for name, signal in (("good", 2.0), ("poor", 0.2))
    ]


def test_figures_are_means_over_the_runs() -> None:
    runs = [make_run(1), make_run(2)]
    pooled = PooledMethods(runs, num_resamples=200)
    good = [metrics.auroc(run[0].correct, run[0].scores) for run in runs]
    poor = [metrics.auroc(run[1].correct, run[1].scores) for run in runs]
    assert pooled.figure("good", "auroc").estimate == pytest.approx(np.mean(good))
    difference = pooled.difference("good", "poor", "auroc")
    assert difference.estimate == pytest.approx(np.mean(good) - np.mean(poor))
    assert not isinstance(difference.ci, Undefined)
    assert 0.0 < difference.ci[0] < difference.estimate < difference.ci[1]
    assert pooled.better("auroc", "poor", "good") == "good"


def test_the_same_run_thrice_is_no_surer_than_once() -> None:
    """Its groups are the same, and an interval that took them for others would be narrower by the root of three."""
    once, thrice = (PooledMethods([make_run(3)] * count, num_resamples=200).figure("good", "auroc") for count in (1, 3))
    assert once.estimate == pytest.approx(thrice.estimate)
    assert once.ci == pytest.approx(thrice.ci)


def test_methods_that_a_run_lacks_are_left_out() -> None:
    first, second = make_run(1), make_run(2)
    assert PooledMethods([first, second[:1]]).names == ("good",)
    with pytest.raises(ConfigError, match="no method in common"):
        PooledMethods([first[1:], second[:1]])


def test_what_a_run_does_not_define_the_mean_does_not() -> None:
    all_right = [MethodScores("good", (0.1, 0.2), (True, True), ("g", "h"))]
    assert isinstance(PooledMethods([make_run(1), all_right]).figure("good", "auroc").estimate, Undefined)
