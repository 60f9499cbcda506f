"""The selection score: one number per answer, from its likelihood and the model's verdict on it."""

from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.records import Evidence
from aspire_llm.selection.parts import Part

Floats = NDArray[np.float64]


class Scoring(Protocol):
    """A way to one number per answer; higher = more confident."""

    @property
    def needs(self) -> frozenset[Part]:
        """The parts that must be known of an answer."""

    def score(self, evidence: Evidence) -> float:
        """The number for an answer.

        Raises:
            ModelError: A part is not known of it.
        """


@dataclass(frozen=True, slots=True)
class AspireScore:
    """The paper's score g.

    Attributes:
        alpha: Weight of log P(z_c), 0 to 1.
    """

    alpha: float

    @property
    def needs(self) -> frozenset[Part]:
        """The mean log-likelihood, and the verdict where it has any weight."""
        return frozenset({Part.MEAN, Part.VERDICT} if self.alpha else {Part.MEAN})

    def score(self, evidence: Evidence) -> float:
        """g = (1 − α)·log-likelihood + α·log P(z_c), in nats."""
        verdict = evidence.log_self_eval
        if verdict is None and self.alpha:
            raise ModelError("ASPIRE's score takes P(z_c), which is not known of this answer")
        return selection_score(evidence.answer.log_likelihood, verdict or 0.0, self.alpha)


@overload
def selection_score(log_likelihood: float, log_self_eval: float, alpha: float) -> float: ...
@overload
def selection_score(log_likelihood: Floats, log_self_eval: Floats, alpha: float) -> Floats: ...
def selection_score(log_likelihood: float | Floats, log_self_eval: float | Floats, alpha: float) -> float | Floats:
    """The selection score g; higher = more confident.

    g = (1 − α)·log f_norm(ŷ|x) + α·log P(z_c|x, ŷ)

    A term with weight zero is absent, so at α = 0 the self-evaluation and at α = 1 the likelihood may be −inf without a
    trace. Everywhere else −inf (an impossible answer, or a verdict of certainly wrong) makes the score −inf: the least
    confident score there is.

    Args:
        log_likelihood: Mean log-probability per token of the answer, in nats; a scalar or [n].
        log_self_eval: log P(z_c), in nats; of the same shape.
        alpha: Weight of the self-evaluation, 0 to 1.

    Returns:
        The score in nats, of the shape of the inputs.

    Raises:
        ConfigError: `alpha` is outside [0, 1].
        ModelError: An input is NaN or +inf.

    Source: Chen et al. (2023), ASPIRE, the selection score g(x).

    Example:
        >>> selection_score(-0.4, -2.0, alpha=0.25)
        -0.8
    """
    if not 0.0 <= alpha <= 1.0:
        raise ConfigError(
            f"score.alpha is {alpha}; it must lie between 0 (likelihood alone) and 1 (self-evaluation alone)"
        )
    likelihood = _checked("log-likelihood", log_likelihood)
    self_eval = _checked("log self-evaluation", log_self_eval)
    if likelihood.shape != self_eval.shape:
        raise ValueError(f"{likelihood.shape} log-likelihoods but {self_eval.shape} self-evaluations; need one of each")
    if alpha == 0.0:
        score = likelihood.copy()
    elif alpha == 1.0:
        score = self_eval.copy()
    else:
        score = (1.0 - alpha) * likelihood + alpha * self_eval
    return float(score) if score.ndim == 0 else score


def _checked(name: str, values: float | Floats) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not (array < np.inf).all():  # nor is NaN below anything
        raise ModelError(f"a {name} is NaN or +inf; the model's numbers overflowed: set dtype to float32")
    return array
