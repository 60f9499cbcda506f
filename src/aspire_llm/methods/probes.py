"""Logistic regression on what the model shows, with ASPIRE's own labels: the supervised rivals.

The regression sees the answers that stage 3 learns from, with the same weights, and predicts whether one is correct.
Its strength of regularisation and, for hidden states, the layer are those of the highest AUROC on the validation
answers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aspire_llm.errors import DataError
from aspire_llm.lm.answer_features import AnswerFeatures
from aspire_llm.methods.answer_set import AnswerSet, Judged
from aspire_llm.records import Split

Matrix = NDArray[np.float64]
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # inverse regularisation


def fitted_probe(
    train: tuple[Matrix, Judged], validation: tuple[Matrix, Judged], strengths: Sequence[float] = _STRENGTHS
) -> tuple[Any, float]:
    """The regression that ranks the validation answers best, and its AUROC there (weighted as in training).

    Args:
        train: Features of the answers, `[answers, features]`, and their labels.
        validation: The same of the validation split.
        strengths: Inverse regularisation strengths to choose from; the first of the best ones wins.

    Raises:
        DataError: All training answers, or all validation answers, have the same label.
    """
    for name, (_, judged) in (("training", train), ("validation", validation)):
        if len(set(judged.correct.tolist())) < 2:
            raise DataError(f"all {len(judged.correct)} {name} answers have the same label; a probe takes both kinds")
    best: tuple[Any, float] = (None, -1.0)
    for strength in strengths:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        probe.fit(train[0], train[1].correct, logisticregression__sample_weight=train[1].weights)
        logits = probe.decision_function(validation[0])
        auroc = float(roc_auc_score(validation[1].correct, logits, sample_weight=validation[1].weights))
        if auroc > best[1]:
            best = probe, auroc
    return best


def probe_scores(answers: AnswerSet, features: Sequence[Callable[[AnswerFeatures], Matrix]]) -> list[float]:
    """Fit a probe on each kind of features, and score the answers by the one that is best on validation.

    Args:
        answers: What to score.
        features: Each takes one kind of features out of what the model showed.
    """
    judged = answers.judged
    with answers.offline():
        candidates = []
        for of in features:
            sides = [
                (np.stack([of(own) for own in judged[split][1]]), judged[split][0])
                for split in (Split.TRAIN, Split.VALIDATION)
            ]
            candidates.append((*fitted_probe(sides[0], sides[1]), of))
        probe, _, of = max(candidates, key=lambda candidate: candidate[1])
    logits: list[float] = probe.decision_function(np.stack([of(own) for own in answers.features])).tolist()
    return logits
