"""A linear read-out of hidden states: log-odds that an answer is correct (beyond the paper).

A standardised logistic regression with L2 regularisation, learned beside the likelihood of the answer, which is not
regularised: what the states have to say is then what the likelihood does not. Which states it reads (layer and
position), how strongly it is regularised and how answers are weighed is chosen by cross-validation over groups: by the
AUROC of held-out log-odds on each question's likeliest answer, because that is the one that is judged. Sources: Azaria
& Mitchell 2023 ("The internal state of an LLM knows when it's lying"); Kadavath et al. 2022, §5, for heads trained on a
model's own samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from aspire_llm.errors import DataError
from aspire_llm.selection.folds import deal_groups
from aspire_llm.selection.metrics import auroc
from aspire_llm.selection.outcomes import Infeasible, defined

Floats = NDArray[np.float64]

MIN_QUESTIONS = 20
_NUM_FOLDS = 5
_STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # C, inverse regularisation
FIRST_STRENGTH = 1e-2  # with which layers and positions are compared
_FREEDOM = 10.0  # of the likelihood: its prior is that many times as wide as that of a state


class Weighing(StrEnum):
    """How the answers to a question weigh, 1 together."""

    LIKELIEST = "likeliest"  # alone
    BY_PROBABILITY = "by_probability"
    ALIKE = "alike"


_WEIGHINGS = (Weighing.BY_PROBABILITY, Weighing.ALIKE)


@dataclass(frozen=True, slots=True)
class LinearReadout:
    """log-odds = weights · state + likelihood weights · (log-probability, log-likelihood per token) + bias.

    Attributes:
        place: Number of the place (layer and position) that it reads.
        weights: float32 `[d]`.
        likelihood_weights: Of the answer's log-probability and of its mean per token, both in nats.
        bias: Intercept.
        auroc: Of held-out log-odds on the likeliest answers it was learned from.
        strength: C, the inverse regularisation.
        weighing: Of the answers that it was learned from.
    """

    place: int
    weights: NDArray[np.float32]
    likelihood_weights: tuple[float, float]
    bias: float
    auroc: float
    strength: float
    weighing: Weighing

    def log_odds(self, states: NDArray[np.floating], likelihoods: Floats) -> Floats:
        """Of answers by their states `[n, d]`, and by log-probability and log-likelihood per token `[n, 2]`."""
        by_states = states.astype(np.float64) @ self.weights.astype(np.float64)
        odds: Floats = by_states + likelihoods @ np.asarray(self.likelihood_weights) + self.bias
        return odds


@dataclass(frozen=True, slots=True)
class LabelledStates:
    """Answers to questions, each with its states at several places.

    Attributes:
        states: Of all answers at one place, by its number, `[answers, d]`.
        num_places: How many there are.
        correct: Of each answer, boolean `[answers]`.
        likelihoods: Log-probability of each answer given its question, and its mean per token, in nats, `[answers, 2]`.
        questions: Number of each answer's question, `[answers]`; a question's first answer is its likeliest.
        groups: Of the questions.
    """

    states: Callable[[int], NDArray[np.floating]]
    num_places: int
    correct: NDArray[np.bool_]
    likelihoods: Floats
    questions: NDArray[np.int64]
    groups: Sequence[str]

    @property
    def likeliest(self) -> NDArray[np.int64]:
        """The first answer of each question."""
        first: NDArray[np.int64] = np.unique(self.questions, return_index=True)[1]
        return first

    def weights(self, weighing: Weighing) -> Floats:
        """Of the answers; each question weighs 1."""
        own = np.ones(len(self.questions))
        if weighing is Weighing.LIKELIEST:
            own = np.zeros(len(self.questions))
            own[self.likeliest] = 1.0
        elif weighing is Weighing.BY_PROBABILITY:  # against the likeliest: long answers are beyond float64
            highest = np.full(len(self.groups), -np.inf)
            np.maximum.at(highest, self.questions, self.likelihoods[:, 0])
            own = np.exp(self.likelihoods[:, 0] - highest[self.questions])
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
    # Places are compared on the likeliest answers alone: a tenth of the work, and much the same order.
    places = [_Setting(place, FIRST_STRENGTH, Weighing.LIKELIEST) for place in range(answers.num_places)]
    place = max(places, key=search.auroc).place
    settings = [_Setting(place, strength, weighing) for weighing in _WEIGHINGS for strength in _STRENGTHS]
    return search.fitted(max(settings, key=search.auroc))


def num_regressions(num_places: int) -> tuple[int, int]:
    """How many regressions `fit_readout` makes, of each question's likeliest answer and of all answers."""
    return num_places * _NUM_FOLDS, len(_WEIGHINGS) * len(_STRENGTHS) * _NUM_FOLDS + 1


@dataclass(frozen=True, slots=True)
class _Setting:
    place: int
    strength: float
    weighing: Weighing


class _Search:
    """Read-outs of different settings, held against each other on the same folds."""

    def __init__(self, answers: LabelledStates, folds: NDArray[np.int64]) -> None:
        self._answers, self._folds = answers, folds
        self._known: dict[_Setting, float] = {}

    def auroc(self, setting: _Setting) -> float:
        """Of held-out log-odds on the likeliest answers."""
        if setting not in self._known:
            self._known[setting] = self._auroc(setting)
        return self._known[setting]

    def _auroc(self, setting: _Setting) -> float:
        answers, first = self._answers, self._answers.likeliest
        columns, weights = self._columns(setting.place), answers.weights(setting.weighing)
        log_odds = np.zeros(len(first))
        for fold in range(_NUM_FOLDS):
            own, others = self._folds[first] == fold, (self._folds != fold) & (weights > 0.0)
            if own.any():
                coefficients, bias = regression(
                    columns[others], answers.correct[others], weights[others], setting.strength
                )
                log_odds[own] = columns[first[own]] @ coefficients + bias
        return defined(auroc(answers.correct[first], log_odds)) or 0.0  # `fit_readout` saw both kinds

    def fitted(self, setting: _Setting) -> LinearReadout:
        """The read-out of all answers."""
        answers, columns, weights = self._answers, self._columns(setting.place), self._answers.weights(setting.weighing)
        learned = weights > 0.0
        coefficients, bias = regression(columns[learned], answers.correct[learned], weights[learned], setting.strength)
        return LinearReadout(
            setting.place,
            coefficients[:-2].astype(np.float32),
            (float(coefficients[-2]), float(coefficients[-1])),
            bias,
            self.auroc(setting),
            setting.strength,
            setting.weighing,
        )

    def _columns(self, place: int) -> Floats:
        """The states and the two likelihoods, `[answers, d + 2]`."""
        return np.hstack([_finite(self._answers.states(place)), self._answers.likelihoods])


def _finite(states: NDArray[np.floating]) -> Floats:
    wide = np.asarray(states, dtype=np.float64)
    if not np.isfinite(wide).all():
        raise DataError("a hidden state is not finite; set dtype to float32")
    return wide


def regression(columns: Floats, correct: NDArray[np.bool_], weights: Floats, strength: float) -> tuple[Floats, float]:
    """Coefficients `[d + 2]` and intercept for columns as they are, of which the last two are the likelihoods."""
    from sklearn.linear_model import LogisticRegression

    if len(set(correct.tolist())) < 2:  # nothing to tell apart outside of one fold
        return np.zeros(columns.shape[1]), 0.0
    centre, spread = columns.mean(axis=0), columns.std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    spread[-2:] /= _FREEDOM
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3)
    with threadpool_limits(1, user_api="blas"):  # its products are small: threads wait for each other, and for torch's
        model.fit((columns - centre) / spread, correct, sample_weight=weights)
    coefficients: Floats = model.coef_[0] / spread
    return coefficients, float(model.intercept_[0] - coefficients @ centre)
