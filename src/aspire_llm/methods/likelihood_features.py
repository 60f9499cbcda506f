"""A regression on the likelihoods and entropies of the answer's tokens (Quevedo et al., 2024)."""

import numpy as np

from aspire_llm.lm.answer_features import AnswerFeatures
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.probes import Matrix, probe_scores


def score(answers: AnswerSet) -> list[float]:
    """Log-odds of a correct answer."""
    return probe_scores(answers, [likelihood_features])


def likelihood_features(features: AnswerFeatures) -> Matrix:
    """Length; mean, least and summed token log-probability; mean and largest token entropy: `[6]`."""
    log_probs, entropies = features.log_probs.astype(np.float64), features.entropies.astype(np.float64)
    return np.array(
        [len(log_probs), log_probs.mean(), log_probs.min(), log_probs.sum(), entropies.mean(), entropies.max()]
    )
