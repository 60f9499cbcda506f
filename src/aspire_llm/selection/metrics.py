"""How well a score separates right answers from wrong ones, and how far a confidence can be believed.

Every function takes numpy arrays over n ≥ 1 answers: `correct` is bool[n]; `score` is float[n], **higher = more
confident**, −inf allowed, NaN refused. Only the order of the scores counts, so a strictly increasing transform changes
nothing. Where scores are tied, a figure is its expectation over random tie-breaking; `coverage_at_risk` alone, which
describes a threshold, takes tied answers together or not at all.

`confidence` is float[n], a probability in [0, 1].
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aspire_llm.errors import DataError
from aspire_llm.selection.outcomes import Undefined
from aspire_llm.selection.ties import auroc_of_blocks, tie_blocks

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def auroc(correct: ArrayLike, score: ArrayLike) -> float | Undefined:
    """P(score of a right answer > score of a wrong one), a tie counting one half.

    Returns:
        A number from 0 to 1 (0.5 = no better than chance), or `Undefined` where all answers are right or all wrong.
    """
    right, values = _checked(correct, score)
    if right.all() or not right.any():
        return _one_class(right)
    blocks = tie_blocks(values)
    return float(auroc_of_blocks(blocks.sums(np.ones_like(right)), blocks.sums(right)))


def roc_curve(correct: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats] | Undefined:
    """Shares of the wrong (x) and of the right answers (y) that each threshold accepts, from (0, 0) to (1, 1)."""
    right, values = _checked(correct, score)
    if right.all() or not right.any():
        return _one_class(right)
    blocks = tie_blocks(values)
    accepted_right = np.cumsum(np.append(0, blocks.sums(right)))
    accepted_wrong = np.cumsum(np.append(0, blocks.sums(~right)))
    return accepted_wrong / accepted_wrong[-1], accepted_right / accepted_right[-1]


def accuracy_coverage_curve(correct: ArrayLike, score: ArrayLike) -> Floats:
    """Accuracy of the i most confident answers for i = 1…n, float[n]; the coverage of entry i is i/n.

    In a block of tied scores with mean accuracy μ that N answers, C of them right, precede, j answers of the block are
    expected to bring j·μ right ones: the accuracy at i = N + j is (C + j·μ) / i.
    """
    right, values = _checked(correct, score)
    blocks = tie_blocks(values)
    sizes, hits = blocks.sums(np.ones_like(right)), blocks.sums(right)
    answers_before, hits_before = np.cumsum(sizes) - sizes, np.cumsum(hits) - hits
    taken = np.arange(1, len(right) + 1)
    taken_of_block = taken - np.repeat(answers_before, sizes)
    expected_hits: Floats = np.repeat(hits_before, sizes) + taken_of_block * np.repeat(hits / sizes, sizes)
    return expected_hits / taken


def auacc(correct: ArrayLike, score: ArrayLike) -> float:
    """Area under the accuracy–coverage curve: (1/n) Σᵢ accuracy of the i most confident answers, 0 to 1.

    Source: Chen et al. (2023), section 3; the treatment of ties is ours.

    Example:
        >>> auacc([True, False], [-0.1, -0.9])  # (1/1 + 1/2) / 2
        0.75
        >>> auacc([True, False], [0.0, 0.0])  # a constant score is worth the accuracy, whatever the order of the rows
        0.5
    """
    return float(accuracy_coverage_curve(correct, score).mean())


def aurc(correct: ArrayLike, score: ArrayLike) -> float:
    """Area under the risk–coverage curve, 1 − AUACC; lower is better (Geifman & El-Yaniv, 2017)."""
    return 1.0 - auacc(correct, score)


def e_aurc(correct: ArrayLike, score: ArrayLike) -> float:
    """Excess AURC: AURC less that of the ideal order (all right answers first), computed exactly; 0 is best.

    Source: Geifman, Uziel & El-Yaniv (2019), who approximate the ideal by r + (1 − r)·ln(1 − r) with r = error rate.
    """
    return auacc(correct, _oracle(correct)) - auacc(correct, score)


def prr(correct: ArrayLike, score: ArrayLike) -> float | Undefined:
    """Prediction rejection ratio: (A − A_random) / (A_ideal − A_random); 1 = ideal order, 0 = random order.

    A is the mean quality of the answers that remain, averaged over rejecting 0…n − 1 of them: for answers that are
    right or wrong just the AUACC. LM-Polygraph estimates A_random from 1,000 shuffles; its expectation, used here, is
    the accuracy.

    Returns:
        A number up to 1, negative for scores worse than chance, or `Undefined` where all answers are right or wrong.

    Source: LM-Polygraph, `PredictionRejectionArea` (max_rejection = 1) with `normalize_metric`; Malinin et al. (2017).
    """
    right, values = _checked(correct, score)
    if right.all() or not right.any():
        return _one_class(right)
    accuracy = float(right.mean())
    return (auacc(right, values) - accuracy) / (auacc(right, _oracle(right)) - accuracy)


def accuracy_at_coverage(correct: ArrayLike, score: ArrayLike, coverage: float) -> float:
    """Accuracy of the ⌈coverage·n⌉ most confident answers; `coverage` is above 0 and at most 1."""
    if not 0.0 < coverage <= 1.0:
        raise ValueError(f"coverage is {coverage}; it must be above 0 and at most 1")
    curve = accuracy_coverage_curve(correct, score)
    # Without the small slack 0.07·100 = 7.000…01 would count 8 answers.
    return float(curve[math.ceil(coverage * len(curve) - 1e-9) - 1])


def coverage_at_risk(correct: ArrayLike, score: ArrayLike, risk: float) -> float:
    """Largest share of answers that a threshold can accept with at most the share `risk` of them wrong.

    It is chosen with the outcomes in sight, hence a description of these data and no guarantee for others.

    Returns:
        Coverage from 0 to 1; 0 where no threshold keeps the risk, so that nothing can be answered.
    """
    right, values = _checked(correct, score)
    blocks = tie_blocks(values)
    answered = np.cumsum(blocks.sums(np.ones_like(right)))
    wrong = np.cumsum(blocks.sums(~right))
    return float(answered[wrong <= risk * answered + 1e-9].max(initial=0) / len(right))


def tied_share(score: ArrayLike) -> float:
    """Share of the answers whose score another answer has too, 0 to 1."""
    values = np.asarray(score, dtype=np.float64)
    sizes = tie_blocks(values).sums(np.ones(len(values), dtype=np.int64))
    return float(sizes[sizes > 1].sum() / len(values))


def ece(correct: ArrayLike, confidence: ArrayLike, num_bins: int = 10) -> float:
    """Expected calibration error: Σ_bins (share of answers in the bin)·|accuracy − mean confidence|, 0 to 1.

    Source: Naeini, Cooper & Hauskrecht (2015), for the confidence that an answer is right.
    """
    right, probability = _checked_confidence(correct, confidence)
    gaps = np.bincount(equal_width_bins(probability, num_bins), weights=right - probability)
    return float(np.abs(gaps).sum() / len(right))


def equal_width_bins(confidence: Floats, num_bins: int = 10) -> NDArray[np.int64]:
    """The bin [k/b, (k+1)/b) of each confidence, int[n]; the last one includes confidence 1."""
    return np.minimum((confidence * num_bins).astype(np.int64), num_bins - 1)


def equal_mass_bins(confidence: Floats, num_bins: int = 10) -> NDArray[np.int64]:
    """Bins of about as many answers each, int[n], rising with the confidence.

    Equal confidences stay together, so that there are fewer bins where many are tied.

    Source: Nguyen & O'Connor (2015), adaptive binning.
    """
    inner = np.unique(np.quantile(confidence, np.arange(1, num_bins) / num_bins))
    # An answer at an edge belongs to the bin that the edge closes.
    place = np.searchsorted(inner, confidence, side="left")
    bins: NDArray[np.int64] = np.unique(place, return_inverse=True)[1]
    return bins


def brier(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Brier score: mean of (confidence − correct)², 0 to 1; lower is better."""
    right, probability = _checked_confidence(correct, confidence)
    return float(np.mean((probability - right) ** 2))


def _oracle(correct: ArrayLike) -> Floats:
    """The ideal score: every right answer above every wrong one."""
    return np.asarray(correct, dtype=np.float64)


def _one_class(right: Bools) -> Undefined:
    return Undefined(f"all {len(right)} answers are {'right' if right.all() else 'wrong'}; it takes both kinds")


def _checked(correct: ArrayLike, values: ArrayLike) -> tuple[Bools, Floats]:
    right, array = np.asarray(correct, dtype=np.bool_), np.asarray(values, dtype=np.float64)
    if right.ndim != 1 or right.shape != array.shape or not len(right):
        raise DataError(f"got {right.shape} answers and {array.shape} scores; need one score per answer and an answer")
    if np.isnan(array).any():
        raise DataError(f"{np.isnan(array).sum()} of {len(array)} scores are NaN; a score must be a number")
    return right, array


def _checked_confidence(correct: ArrayLike, confidence: ArrayLike) -> tuple[Floats, Floats]:
    right, probability = _checked(correct, confidence)
    if probability.min() < 0.0 or probability.max() > 1.0:
        raise DataError(f"confidence runs from {probability.min()} to {probability.max()}; it must stay within [0, 1]")
    return right.astype(np.float64), probability
