"""Calibrations drawn from a population whose risk is known."""

import numpy as np
import pytest

from aspire_llm.selection import JudgedScores
from evidence.guarantees import RISKS, outcomes


def judged(count: int, seed: int) -> JudgedScores:
    rng = np.random.default_rng(seed)
    correct = rng.random(count) < 0.6
    return JudgedScores.of(rng.normal(size=count) + 2.5 * correct, correct, [str(i) for i in range(count)])


def test_what_came_of_each_target() -> None:
    population = judged(600, 0)
    found = list(outcomes(population, judged(200, 1), size=200, draws=40))
    assert [own.target.risk for own in found] == list(RISKS)
    order = np.argsort(-population.scores)
    risks = np.cumsum(~population.correct[order]) / np.arange(1, 601)
    for own in found:
        assert own.broken <= 0.1
        assert own.coverage <= own.best
        assert own.best == pytest.approx((np.flatnonzero(risks <= own.target.risk)[-1] + 1) / 600)
    assert found[-1].feasible == 1.0
    assert found[0].coverage < found[1].coverage < found[2].coverage


def test_a_score_that_knows_nothing_certifies_nothing() -> None:
    blind = JudgedScores.of(np.arange(300.0), np.arange(300) % 2 == 0, [str(i) for i in range(300)])
    for own in outcomes(blind, blind, size=100, draws=10):
        assert (own.feasible, own.broken, own.coverage) == (0.0, 0.0, 0.0)
