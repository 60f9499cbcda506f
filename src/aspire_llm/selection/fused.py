"""A fused score: a logistic model over all that is known of an answer, fitted where none of it was learned.

Beyond the paper, whose score mixes two parts by one α. With few labels a regression on correlated parts is worse than
their plain sum, so the weights of the standardised parts are drawn towards one common weight (ridge regression towards
equal weights; Dawes 1979, "The robust beauty of improper linear models"), as strongly as cross-validation over groups
says. Four parts that cost nothing are always in; another joins, and must be computed, where held-out answers are
predicted better with it, by more than chance would have it with so few labels.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aspire_llm.errors import DataError
from aspire_llm.records import Evidence
from aspire_llm.records.fields import by_name, field, natural, number
from aspire_llm.selection.folds import deal_groups
from aspire_llm.selection.logistic import fit_logistic
from aspire_llm.selection.outcomes import Infeasible
from aspire_llm.selection.parts import Part

Floats = NDArray[np.float64]

MIN_ITEMS = 50
_NUM_FOLDS = 5
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # C: inverse strength of the pull towards equal weights
_ALWAYS = frozenset({Part.MEAN, Part.SUM, Part.AGREEMENT, Part.STATES})
_LEAST_GAIN = 0.5  # of held-out log-loss, in its standard errors, for another part to join
_FREEDOM_OF_COMMON_WEIGHT = 30.0  # its prior is that many times as wide as that of the differences from it


@dataclass(frozen=True, slots=True)
class FusedScore:
    """log-odds = intercept + Σ weight · (part − centre) / scale.

    Attributes:
        parts: What it is made from.
        centres, scales: Of each part, mean and standard deviation over the answers it was fitted on.
        weights: Of each standardised part.
        intercept: Log-odds of an average answer.
        num_items: Answers it was fitted on.
    """

    parts: tuple[Part, ...]
    centres: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    num_items: int

    @property
    def needs(self) -> frozenset[Part]:
        """The parts that must be known of an answer."""
        return frozenset(self.parts)

    def score(self, evidence: Evidence) -> float:
        """Log-odds that an answer is correct.

        Raises:
            ModelError: A part is not known of it.
        """
        terms = zip(self.parts, self.centres, self.scales, self.weights, strict=True)
        return self.intercept + sum(
            weight * (part.of(evidence) - centre) / scale for part, centre, scale, weight in terms
        )

    def to_json(self) -> dict[str, Any]:
        """Named values."""
        columns = zip(self.parts, self.centres, self.scales, self.weights, strict=True)
        parts = {
            str(part): {"centre": centre, "scale": scale, "weight": weight} for part, centre, scale, weight in columns
        }
        return {"num_items": self.num_items, "intercept": self.intercept, "parts": parts}

    @classmethod
    def from_json(cls, content: Any) -> "FusedScore":
        """The score that `to_json` wrote."""
        parts = {Part(name): own for name, own in field(content, "parts", by_name(_weighed)).items()}
        centres, scales, weights = (tuple(own[place] for own in parts.values()) for place in range(3))
        intercept, num_items = field(content, "intercept", number), field(content, "num_items", natural)
        return cls(tuple(parts), centres, scales, weights, intercept, num_items)


def _weighed(part: Any) -> tuple[float, float, float]:
    """Centre, scale and weight of a part."""
    scale = field(part, "scale", number)
    if scale <= 0.0:
        raise ValueError(f"the scale is {scale:g}, not above 0")
    return field(part, "centre", number), scale, field(part, "weight", number)


def fit_fused(
    answers: Sequence[Evidence],
    correct: Sequence[bool],
    groups: Sequence[str],
    parts: Collection[Part] = tuple(Part),
    *,
    seed: int = 0,
) -> FusedScore | Infeasible:
    """Fit a fused score; which parts it has, and how far their weights differ, is chosen by cross-validation.

    Args:
        answers: On which no part was learned.
        correct: Whether each is correct.
        groups: Of their questions; no group stands on both sides of a fold.
        parts: To choose from.
        seed: Of the folds.

    Returns:
        The score, or why there is none: fewer than 50 answers, or none that is correct, or none that is wrong, or too
        few groups.

    Raises:
        DataError: The lengths differ, or a part is not finite.
    """
    if not len(answers) == len(correct) == len(groups):
        raise DataError(f"{len(answers)} answers, {len(correct)} labels and {len(groups)} groups; need one of each")
    right = sum(correct)
    if len(answers) < MIN_ITEMS or min(right, len(answers) - right) < _NUM_FOLDS:
        return Infeasible(f"{right} of {len(answers)} answers are right; it takes {MIN_ITEMS}, and 5 of either kind")
    if len(set(groups)) < _NUM_FOLDS:
        return Infeasible(f"the answers stand in {len(set(groups))} groups; it takes {_NUM_FOLDS}")
    table = _Table.of(answers, np.asarray(correct, dtype=np.bool_), groups, parts, seed)
    chosen = [part for part in table.varying if part in _ALWAYS] or table.varying[:1]
    strength, losses = table.best(chosen)
    while others := [part for part in table.varying if part not in chosen]:
        longer = [[part for part in table.varying if part in chosen or part is own] for own in others]
        found = min(((*table.best(own), own) for own in longer), key=lambda own: float(own[1].mean()))
        gains = losses - found[1]
        if gains.mean() <= _LEAST_GAIN * gains.std() / math.sqrt(len(gains)):
            break
        strength, losses, chosen = found
    return table.fitted(chosen, strength)


@dataclass(frozen=True, slots=True)
class _Table:
    """Parts of n answers as columns of one matrix, `[n, parts]`, with the folds of their groups."""

    parts: tuple[Part, ...]
    values: Floats
    correct: NDArray[np.bool_]
    folds: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        answers: Sequence[Evidence],
        correct: NDArray[np.bool_],
        groups: Sequence[str],
        parts: Collection[Part],
        seed: int,
    ) -> "_Table":
        values = np.array([[part.of(own) for part in parts] for own in answers])
        if not np.isfinite(values).all():
            bad = [part.value for part, column in zip(parts, values.T, strict=True) if not np.isfinite(column).all()]
            raise DataError(f"{', '.join(bad)} of {len(answers)} answers: some are not finite")
        return cls(tuple(parts), values, correct, deal_groups(groups, [1.0] * _NUM_FOLDS, seed=seed))

    @property
    def varying(self) -> list[Part]:
        return [part for part, column in zip(self.parts, self.values.T, strict=True) if np.ptp(column) > 0.0]

    def best(self, parts: Sequence[Part]) -> tuple[float, Floats]:
        """The strength with the lowest mean log-loss on held-out answers, and the loss of each, `[n]`."""
        losses = {strength: self._held_out_losses(parts, strength) for strength in _STRENGTHS}
        strength = min(losses, key=lambda own: float(losses[own].mean()))
        return strength, losses[strength]

    def fitted(self, parts: Sequence[Part], strength: float) -> FusedScore:
        columns = self._columns(parts)
        centres, scales = columns.mean(axis=0), _spread(columns)
        weights, intercept = _regression((columns - centres) / scales, self.correct, _rises(parts), strength)
        numbers = [tuple(map(float, own)) for own in (centres, scales, weights)]
        return FusedScore(tuple(parts), numbers[0], numbers[1], numbers[2], intercept, num_items=len(columns))

    def _held_out_losses(self, parts: Sequence[Part], strength: float) -> Floats:
        columns, losses = self._columns(parts), np.zeros(len(self.values))
        for fold in range(_NUM_FOLDS):
            own = self.folds == fold
            centres, scales = columns[~own].mean(axis=0), _spread(columns[~own])
            standard = (columns - centres) / scales
            weights, intercept = _regression(standard[~own], self.correct[~own], _rises(parts), strength)
            signed = np.where(self.correct[own], 1.0, -1.0) * (standard[own] @ weights + intercept)
            losses[own] = np.logaddexp(0.0, -signed)
        return losses

    def _columns(self, parts: Sequence[Part]) -> Floats:
        return self.values[:, [self.parts.index(part) for part in parts]]


def _rises(parts: Sequence[Part]) -> Floats:
    """1 for parts that are higher for answers to be surer of, 0 for one of which that is not known."""
    return np.array([0.0 if part is Part.LENGTH else 1.0 for part in parts])


def _spread(columns: Floats) -> Floats:
    spread: Floats = columns.std(axis=0)
    return np.where(spread > 0.0, spread, 1.0)


def _regression(standard: Floats, correct: NDArray[np.bool_], rises: Floats, strength: float) -> tuple[Floats, float]:
    """Weights `[parts]` and intercept of a logistic regression whose weights are drawn towards a common one."""
    if len(set(correct.tolist())) < 2:  # a fold that has all answers of one kind
        rate = (correct.sum() + 1) / (len(correct) + 2)
        return np.zeros(standard.shape[1]), math.log(rate / (1 - rate))
    common = _FREEDOM_OF_COMMON_WEIGHT * (standard @ rises)[:, None]
    fitted, intercept = fit_logistic(np.hstack([standard, common]), correct, penalty=1.0 / strength)
    weights: Floats = fitted[:-1] + _FREEDOM_OF_COMMON_WEIGHT * fitted[-1] * rises
    return weights, intercept
