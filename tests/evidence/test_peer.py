"""What a peer certifies is read on the scale of our scores, and held against ours on the same answers."""

import math

import numpy as np
import pytest

from evidence.peer import ACCURACY, SEPARATION, SETTINGS, _coverage, _probability, _score, covered


def test_scores_and_probabilities_are_each_other_s_inverse() -> None:
    scores = np.array([-3.0, 0.0, SEPARATION / 2, 4.0])
    assert [_score(own) for own in _probability(scores)] == pytest.approx(scores.tolist())
    assert _probability(np.array([SEPARATION / 2]))[0] == pytest.approx(ACCURACY)  # as likely of either kind
    assert (_score(0.0), _score(1.0)) == (-math.inf, math.inf)
    assert (_coverage(-math.inf), _coverage(math.inf)) == (1.0, 0.0)
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=100_000) + SEPARATION * (rng.random(100_000) < ACCURACY)
    assert _coverage(1.0) == pytest.approx((drawn >= 1.0).mean(), abs=0.005)


def test_a_peer_certifies_on_the_same_answers() -> None:
    pytest.importorskip("mapie", reason="mapie is not installed")
    own = covered(*SETTINGS[1], simulations=30)
    assert 0.0 < own.theirs < own.ours < 1.0
    assert own.more[1] < own.more[0] < own.more[2]
    assert own.more[0] == pytest.approx(own.ours - max(own.theirs, own.theirs_on_ours))
