"""Logistic regression on a few columns: exact, and without a library that takes a second to import."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MAX_STEPS = 100
_TOLERANCE = 1e-12  # of the squared Newton decrement, twice the distance to the least loss, in nats
_SLIGHT = 1e-9  # keeps the intercept's curvature above zero where every answer is told apart with certainty


def expit(log_odds: Floats) -> Floats:
    """1 / (1 + exp(−x)) for any x; scipy's takes a quarter of a second to import."""
    probability: Floats = np.exp(-np.logaddexp(0.0, -log_odds))
    return probability


def fit_logistic(columns: Floats, correct: NDArray[np.bool_], penalty: float = 1.0) -> tuple[Floats, float]:
    """min over w, b of Σᵢ log(1 + exp(−yᵢ (xᵢ·w + b))) + penalty/2 · |w|², y = ±1, by Newton's method.

    Steps are halved until the loss falls as it should (Boyd & Vandenberghe 2004, *Convex Optimization*, §9.5).

    Args:
        columns: x, `[n, columns]`, finite and standardised.
        correct: y, boolean `[n]`, of both kinds.
        penalty: On the weights, above 0, not on the intercept.

    Returns:
        Weights `[columns]` and intercept.
    """
    design = np.hstack([columns, np.ones((len(columns), 1))])
    ridge = np.append(np.full(columns.shape[1], penalty), _SLIGHT)
    signs = np.where(correct, 1.0, -1.0)

    def loss(at: Floats) -> float:
        return float(np.logaddexp(0.0, -signs * (design @ at)).sum() + ridge @ at**2 / 2.0)

    at = np.zeros(design.shape[1])
    for _ in range(_MAX_STEPS):
        odds = expit(design @ at)
        gradient = design.T @ (odds - correct) + ridge * at
        curvature = (design * (odds * (1.0 - odds))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        decrement = float(gradient @ step)
        if decrement < _TOLERANCE:
            break
        size, least = 1.0, loss(at)
        while size > _SLIGHT and loss(at - size * step) > least - 0.1 * size * decrement:
            size /= 2.0
        at = at - size * step
    return at[:-1], float(at[-1])
