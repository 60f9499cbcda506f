"""What rules come to, by hand, and their differences on the same resamples."""

import numpy as np
import pytest

from aspire_llm.selection import JudgedScores
from aspire_llm.selection.decided import Decided

ANSWERS = JudgedScores.of([3.0, 2.0, 1.0, 0.0], [True, False, True, False], ["a", "a", "b", "c"])


def test_groups_weigh_the_same() -> None:
    found = Decided.at(ANSWERS, 1.0)
    assert found.coverage().value == pytest.approx(2 / 3)
    assert found.risk().value == pytest.approx(1 / 4)  # a sixth of two thirds
    nothing = Decided.at(ANSWERS, None)
    assert nothing.coverage().value == 0.0
    assert nothing.risk().value is None
    assert nothing.risk().minus(found.risk()).value is None


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    scores, correct = rng.normal(size=400), rng.random(400) < 0.7
    answers = JudgedScores.of(scores.tolist(), correct.tolist(), [str(i) for i in range(400)])
    loose, strict = Decided.at(answers, 0.0), Decided.at(answers, 0.2)
    assert loose.coverage().minus(loose.coverage()).ci == (0.0, 0.0)
    difference = loose.coverage().minus(strict.coverage())
    share = ((scores >= 0.0) & (scores < 0.2)).mean()
    assert difference.value == pytest.approx(share)
    low, high = difference.ci  # type: ignore[misc]
    assert (low + high) / 2 == pytest.approx(share, abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.15)  # a binomial share


def test_runs_are_pooled_by_group() -> None:
    one, other = Decided.at(ANSWERS, 1.0), Decided.at(ANSWERS, None)
    pooled = Decided.pooled([one, other])
    assert pooled.coverage().value == pytest.approx(1 / 3)
    assert pooled.risk().value == pytest.approx(1 / 4)
    # A group that stands in both is drawn in both, so the same run twice is no more certain than once.
    assert Decided.pooled([one, one]).coverage().ci == pytest.approx(one.coverage().ci)
    alone = Decided(np.ones(2), np.ones(2), np.zeros(2), ("a", "a"))
    assert alone.coverage().value == 1.0
    assert alone.coverage().draws.size == 0
