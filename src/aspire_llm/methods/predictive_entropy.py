"""Predictive entropy: how unlikely the model's own answers are on average (Malinin & Gales, 2021)."""

from collections.abc import Sequence

import numpy as np

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.records import DrawnAnswer


def predictive_entropy(samples: Sequence[DrawnAnswer]) -> float:
    """Monte Carlo estimate of the length-normalised entropy, −(1/m) Σ (1/|s|) log f(s | x), in nats."""
    return -float(np.mean([sample.mean_log_prob for sample in samples]))


def score(answers: AnswerSet) -> list[float]:
    """Minus the entropy, in nats."""
    return [-predictive_entropy(samples) for samples in answers.samples]
