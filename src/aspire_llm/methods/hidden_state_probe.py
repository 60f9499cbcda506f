"""A linear probe on the hidden state of the answer's last token (Azaria & Mitchell, 2023)."""

from collections.abc import Callable

import numpy as np

from aspire_llm.lm.answer_features import AnswerFeatures
from aspire_llm.lm.read_states import Position
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.probes import Matrix, probe_scores


def score(answers: AnswerSet) -> list[float]:
    """Log-odds of a correct answer, by the layer that is best on validation."""
    return probe_scores(answers, [_of_layer(index) for index in range(answers.features[0].hidden.shape[1])])


def _of_layer(index: int) -> Callable[[AnswerFeatures], Matrix]:
    return lambda features: features.hidden[Position.LAST, index].astype(np.float64)
