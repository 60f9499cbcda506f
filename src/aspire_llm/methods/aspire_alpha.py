"""ASPIRE's score with the α that ranks the validation answers best (beyond the paper)."""

from collections.abc import Sequence

import numpy as np

from aspire_llm.errors import DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.records import Prediction
from aspire_llm.selection import AspireScore, defined
from aspire_llm.selection.metrics import auroc

_ALPHAS = np.linspace(0, 1, 21).tolist()


def score(answers: AnswerSet) -> list[float]:
    """g with that α."""
    return _mixed(answers.predictions, best_alpha(answers.validation_predictions))


def best_alpha(predictions: Sequence[Prediction]) -> float:
    """The α of the highest AUROC on answers whose correctness is known; the smallest of equally good ones.

    Raises:
        DataError: All of them are right, or all are wrong.
    """
    correct = both_kinds(predictions)
    best: float = max(_ALPHAS, key=lambda alpha: defined(auroc(correct, _mixed(predictions, alpha))) or 0.0)
    return best


def both_kinds(predictions: Sequence[Prediction]) -> list[bool]:
    """Whether each validation answer is correct.

    Raises:
        DataError: All of them are right, or all are wrong.
    """
    correct = [bool(prediction.correct) for prediction in predictions]
    if len(set(correct)) < 2:
        raise DataError(f"all {len(correct)} validation answers are right, or all wrong; there is nothing to learn")
    return correct


def _mixed(predictions: Sequence[Prediction], alpha: float) -> list[float]:
    return [AspireScore(alpha).score(own.scored.evidence) for own in predictions]
