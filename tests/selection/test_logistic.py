"""The logistic regression against scikit-learn's, solved to the end."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from aspire_llm.selection.logistic import fit_logistic


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("separation", [0.0, 1.0, 40.0])  # 40: right and wrong answers do not overlap
def test_it_is_scikit_learns(penalty: float, separation: float) -> None:
    generator = np.random.default_rng(0)
    correct = generator.random(120) < 0.8
    columns = generator.normal(size=(120, 4)) * [1.0, 1.0, 30.0, 0.1] + separation * correct[:, None]
    weights, intercept = fit_logistic(columns, correct, penalty)
    peer = LogisticRegression(C=1.0 / penalty, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(columns, correct)
    assert weights == pytest.approx(peer.coef_[0], rel=1e-3, abs=1e-4)
    assert intercept == pytest.approx(peer.intercept_[0], rel=1e-3, abs=1e-4)
    gradient = columns.T @ (expit(columns @ weights + intercept) - correct) + penalty * weights
    assert gradient == pytest.approx(np.zeros(4), abs=1e-4)


def test_weights_are_drawn_to_zero_and_the_intercept_is_not() -> None:
    columns, correct = np.array([[-1.0], [1.0]] * 50), np.array([True] * 75 + [False] * 25)
    weights, intercept = fit_logistic(columns, correct, penalty=1e9)
    assert weights == pytest.approx([0.0], abs=1e-6)
    assert intercept == pytest.approx(np.log(3.0))  # the log-odds of 75 in 100
