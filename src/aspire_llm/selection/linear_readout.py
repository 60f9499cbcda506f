"""A linear read-out of hidden states: log-odds that an answer is correct (beyond the paper).

A standardised logistic regression with L2 regularisation. Which states it reads (layer and position), how strongly it
is regularised and how answers are weighed is chosen by cross-validation over groups: by the AUROC of held-out log-odds
on each question's likeliest answer, because that is the one that is judged. Sources: Azaria & Mitchell 2023 ("The
internal state of an LLM knows when it's lying"); Kadavath et al. 2022, §5, for heads trained on a model's own samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import DataError
from aspire_llm.selection.folds import deal_groups
from aspire_llm.selection.metrics import auroc
from aspire_llm.selection.outcomes import Infeasible, defined

Floats = NDArray[np.float64]

MIN_QUESTIONS = 20
_NUM_FOLDS = 5
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # C, inverse regularisation
_FIRST_STRENGTH = 1e-3  # with which layers and positions are compared


@dataclass(frozen=True, slots=True)
class LinearReadout:
    """log-odds = weights · state + bias.

    Attributes:
        place: Number of the place (layer and position) that it reads.
        weights: float32 `[d]`.
        bias: Intercept.
        auroc: Of held-out log-odds on the likeliest answers it was learned from.
        strength: C, the inverse regularisation.
        by_probability: Whether a question's answers weighed by their probability, rather than alike.
    """

    place: int
    weights: NDArray[np.float32]
    bias: float
    auroc: float
    strength: float
    by_probability: bool

    def log_odds(self, states: NDArray[np.floating]) -> Floats:
        """Of states `[n, d]`."""
        odds: Floats = states.astype(np.float64) @ self.weights.astype(np.float64) + self.bias
        return odds


@dataclass(frozen=True, slots=True)
class LabelledStates:
    """Answers to questions, each with its states at several places.

    Attributes:
        states: Of all answers at one place, by its number, `[answers, d]`.
        num_places: How many there are.
        correct: Of each answer, boolean `[answers]`.
        log_probabilities: Of each answer given its question, in nats, `[answers]`.
        questions: Number of each answer's question, `[answers]`; a question's first answer is its likeliest.
        groups: Of the questions.
    """

    states: Callable[[int], NDArray[np.floating]]
    num_places: int
    correct: NDArray[np.bool_]
    log_probabilities: Floats
    questions: NDArray[np.int64]
    groups: Sequence[str]

    @property
    def likeliest(self) -> NDArray[np.int64]:
        """The first answer of each question."""
        first: NDArray[np.int64] = np.unique(self.questions, return_index=True)[1]
        return first

    def weights(self, *, by_probability: bool) -> Floats:
        """Of the answers; each question weighs 1."""
        own = np.ones(len(self.questions))
        if by_probability:  # against the likeliest of the question: long answers have probabilities beyond float64
            highest = np.full(len(self.groups), -np.inf)
            np.maximum.at(highest, self.questions, self.log_probabilities)
            own = np.exp(self.log_probabilities - highest[self.questions])
        totals = np.bincount(self.questions, own)
        weights: Floats = own / totals[self.questions]
        return weights


def fit_readout(answers: LabelledStates, *, seed: int = 0) -> LinearReadout | Infeasible:
    """Learn a read-out.

    Args:
        answers: Labelled, of questions that nothing else is fitted on.
        seed: Of the folds.

    Returns:
        The read-out, or why there is none: too few questions or groups, or likeliest answers of which too few are
        right, or too few wrong.

    Raises:
        DataError: A state is not finite.
    """
    right = int(answers.correct[answers.likeliest].sum())
    count = len(answers.likeliest)
    if count < MIN_QUESTIONS or min(right, count - right) < _NUM_FOLDS:
        return Infeasible(
            f"of {count} questions' likeliest answers {right} are right; it takes {MIN_QUESTIONS} questions, and "
            f"{_NUM_FOLDS} answers of either kind"
        )
    if (num_groups := len(set(answers.groups))) < _NUM_FOLDS:
        return Infeasible(f"the questions stand in {num_groups} groups; it takes {_NUM_FOLDS}")
    folds = deal_groups(answers.groups, [1.0] * _NUM_FOLDS, seed=seed)
    search = _Search(answers, folds[answers.questions])
    place = max(range(answers.num_places), key=lambda own: search.auroc(own, _FIRST_STRENGTH, by_probability=True))
    strength, by_probability = max(
        ((strength, by_probability) for by_probability in (True, False) for strength in _STRENGTHS),
        key=lambda own: search.auroc(place, own[0], by_probability=own[1]),
    )
    return search.fitted(place, strength, by_probability=by_probability)


class _Search:
    """Read-outs of different settings, held against each other on the same folds."""

    def __init__(self, answers: LabelledStates, folds: NDArray[np.int64]) -> None:
        self._answers, self._folds = answers, folds
        self._known: dict[tuple[int, float, bool], float] = {}

    def auroc(self, place: int, strength: float, *, by_probability: bool) -> float:
        """Of held-out log-odds on the likeliest answers."""
        key = (place, strength, by_probability)
        if key not in self._known:
            self._known[key] = self._auroc(*key)
        return self._known[key]

    def _auroc(self, place: int, strength: float, by_probability: bool) -> float:
        answers, states = self._answers, _finite(self._answers.states(place))
        weights, log_odds = answers.weights(by_probability=by_probability), np.zeros(len(states))
        for fold in range(_NUM_FOLDS):
            own = self._folds == fold
            if own.any():
                coefficients, bias = _regression(states[~own], answers.correct[~own], weights[~own], strength)
                log_odds[own] = states[own] @ coefficients + bias
        first = answers.likeliest
        return defined(auroc(answers.correct[first], log_odds[first])) or 0.0  # `fit_readout` saw both kinds

    def fitted(self, place: int, strength: float, *, by_probability: bool) -> LinearReadout:
        """The read-out of all answers."""
        answers, states = self._answers, _finite(self._answers.states(place))
        weights = answers.weights(by_probability=by_probability)
        coefficients, bias = _regression(states, answers.correct, weights, strength)
        auroc = self.auroc(place, strength, by_probability=by_probability)
        return LinearReadout(place, coefficients.astype(np.float32), bias, auroc, strength, by_probability)


def _finite(states: NDArray[np.floating]) -> Floats:
    wide = np.asarray(states, dtype=np.float64)
    if not np.isfinite(wide).all():
        raise DataError("a hidden state is not finite; set dtype to float32")
    return wide


def _regression(states: Floats, correct: NDArray[np.bool_], weights: Floats, strength: float) -> tuple[Floats, float]:
    """Coefficients `[d]` and intercept for states as they are."""
    from sklearn.linear_model import LogisticRegression

    if len(set(correct.tolist())) < 2:  # nothing to tell apart outside of one fold
        return np.zeros(states.shape[1]), 0.0
    centre, spread = states.mean(axis=0), states.std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3)
    model.fit((states - centre) / spread, correct, sample_weight=weights)
    coefficients: Floats = model.coef_[0] / spread
    return coefficients, float(model.intercept_[0] - coefficients @ centre)
