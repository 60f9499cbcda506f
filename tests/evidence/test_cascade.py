"""Pairs of models whose quality is known, pooled."""

import numpy as np
import pytest

from aspire_llm.records import Split
from aspire_llm.selection import JudgedScores, RiskTarget
from aspire_llm.selection.cascading import JudgedPairs, ThresholdPath
from evidence.cascade import lines, outcomes

TARGET = RiskTarget(0.2, 0.1)


def pair(seed: int) -> dict[Split, JudgedPairs]:
    """A small model that is right on half of the questions, a large one on 80%."""
    rng = np.random.default_rng(seed)

    def answers(count: int, accuracy: float) -> JudgedScores:
        right = rng.random(count) < accuracy
        return JudgedScores.of(rng.normal(size=count) + 2 * right, right, [str(i) for i in range(count)])

    drawn = {
        split: (answers(count, 0.5), answers(count, 0.8))
        for split, count in zip(Split, (1, 200, 300, 600), strict=True)
    }
    path = ThresholdPath.fit(*drawn[Split.VALIDATION])
    return {split: JudgedPairs.along(path, *own) for split, own in drawn.items() if split is not Split.TRAIN}


def test_pairs_are_pooled() -> None:
    pairs = [pair(0), pair(1)]
    small, large, cascade = outcomes(pairs, TARGET)
    assert [own.name for own in (small, large, cascade)] == ["small", "large", "cascade"]
    assert (small.asks_large, large.asks_large) == (0.0, 1.0)
    assert len(cascade.test.groups) == 1200
    for own in (small, large, cascade):
        assert own.certified == 1.0
        assert own.test.risk().value <= 0.2
        assert own.test.coverage().value == pytest.approx(own.promised, abs=0.06)
    alone = [outcomes([own], TARGET)[2] for own in pairs]
    assert cascade.promised == pytest.approx(np.mean([own.promised for own in alone]))
    assert cascade.test.coverage().value == pytest.approx(np.mean([own.test.coverage().value for own in alone]))
    assert small.test.coverage().value < cascade.test.coverage().value  # a second opinion answers more
    # Whom the large model answers, the small one has withheld.
    assert 1 - cascade.asks_large < cascade.test.coverage().value
    rows = list(lines([small, large, cascade], TARGET))
    difference = 100 * (cascade.test.coverage().value - large.test.coverage().value)
    assert rows[-1].startswith(f"| 20% | cascade − large |  |  | {difference:+.1f} [".replace("-", "−"))


def test_what_is_not_certified_answers_nothing() -> None:
    found = outcomes([pair(0)], RiskTarget(0.001))
    for own in found:
        assert (own.certified, own.promised, own.test.coverage().value) == (0.0, 0.0, 0.0)
    assert "–" in next(iter(lines(found, RiskTarget(0.001))))
