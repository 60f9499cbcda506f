"""The selection score: the paper's weighted sum, and its edges."""

import math

import numpy as np
import pytest

from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.selection.score import selection_score


def test_weights_likelihood_and_self_evaluation() -> None:
    # 0.75·(−0.4) + 0.25·(−2.0) = −0.3 − 0.5
    assert selection_score(-0.4, -2.0, 0.25) == pytest.approx(-0.8)


def test_array_equals_scalars() -> None:
    likelihood, self_eval = np.array([-0.1, -3.0, -0.7]), np.array([-2.0, 0.0, -0.2])
    expected = [0.4 * a + 0.6 * b for a, b in zip(likelihood, self_eval, strict=True)]
    np.testing.assert_allclose(selection_score(likelihood, self_eval, 0.6), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("log_likelihood", "log_self_eval", "alpha", "expected"),
    [
        (-0.4, -math.inf, 0.0, -0.4),  # α = 0: no self-evaluation term, not 0·(−inf)
        (-math.inf, -0.2, 1.0, -0.2),  # α = 1: no likelihood term
        (-0.4, -math.inf, 0.25, -math.inf),
        (-math.inf, -0.2, 0.25, -math.inf),
        (-math.inf, -math.inf, 0.0, -math.inf),
    ],
)
def test_minus_infinity(log_likelihood: float, log_self_eval: float, alpha: float, expected: float) -> None:
    assert selection_score(log_likelihood, log_self_eval, alpha) == expected
    array = selection_score(np.array([log_likelihood]), np.array([log_self_eval]), alpha)
    np.testing.assert_array_equal(array, [expected])


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_plus_infinity_are_errors_even_where_their_weight_is_zero(alpha: float, bad: float) -> None:
    with pytest.raises(ModelError, match="a log-likelihood is NaN or \\+inf"):
        selection_score(bad, -0.1, alpha)
    with pytest.raises(ModelError, match="a log self-evaluation is NaN or \\+inf"):
        selection_score(np.array([-0.1, -0.1]), np.array([-0.1, bad]), alpha)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, math.nan])
def test_alpha_outside_the_unit_interval(alpha: float) -> None:
    with pytest.raises(ConfigError, match=r"score\.alpha is .* between 0"):
        selection_score(-0.1, -0.1, alpha)


def test_the_result_is_no_view_of_the_input() -> None:
    likelihood = np.array([-0.5, -0.6])
    selection_score(likelihood, likelihood, 0.0)[0] = 7.0
    assert likelihood[0] == -0.5
