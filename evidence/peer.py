"""What a well-kept library certifies on the same scores: control of precision by a fixed sequence (mapie).

`python -m evidence.peer [--simulations N]`; it takes `pip install mapie`. Answers are simulated with an accuracy of 80%
and an AUROC of .90, δ = 0.1. The peer gets each score as the probability of a right answer that it means, once with the
thresholds of its own default and once with ours; ours come from other answers than those that calibrate, as always.
"""

import argparse
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from aspire_llm.selection import Certified, JudgedScores, RiskTarget, Unit
from aspire_llm.selection.risk_control import candidate_thresholds, certify

Floats = NDArray[np.float64]

ACCURACY, DELTA, PILOT = 0.8, 0.1, 300
SEPARATION = float(math.sqrt(2) * norm.ppf(0.9))  # of right and wrong answers' unit normal scores: an AUROC of .90
_PRIOR = float(logit(ACCURACY))
SETTINGS = ((200, 0.1), (500, 0.05), (1000, 0.1), (200, 0.2))


@dataclass(frozen=True, slots=True)
class Covered:
    """Mean share of all questions that is answered, over simulated calibrations; nothing where nothing is certified.

    Attributes:
        ours: By `certify`.
        theirs: By the peer, with its own thresholds.
        theirs_on_ours: By the peer, with our thresholds.
        more: What `ours` is above the larger of the peer's, with its 95% interval over the simulations, in pairs.
    """

    ours: float
    theirs: float
    theirs_on_ours: float
    more: tuple[float, float, float]


def covered(count: int, risk: float, simulations: int) -> Covered:
    """Calibrate again and again on so many questions for at most so many wrong answers."""
    rng, target = np.random.default_rng(0), RiskTarget(risk, DELTA)
    rows = []
    for _ in range(simulations):
        pilot, answers = _answers(rng, PILOT), _answers(rng, count)
        found = certify(answers, target, pilot, Unit.QUESTION)
        ours = found.threshold if isinstance(found, Certified) else math.inf
        own = _probability(candidate_thresholds(pilot, target, count))
        theirs = _peer(answers, risk, np.linspace(0, 0.99, 100)), _peer(answers, risk, np.sort(own))
        rows.append([_coverage(ours), *(_coverage(_score(level)) for level in theirs)])
    table = np.array(rows)
    means = table.mean(axis=0)
    gains = table[:, 0] - table[:, 1 + int(means[1:].argmax())]
    half = 1.96 * gains.std() / math.sqrt(simulations)
    more = float(gains.mean()), float(gains.mean() - half), float(gains.mean() + half)
    return Covered(float(means[0]), float(means[1]), float(means[2]), more)


def _answers(rng: np.random.Generator, count: int) -> JudgedScores:
    correct = rng.random(count) < ACCURACY
    scores = rng.normal(size=count) + SEPARATION * correct
    return JudgedScores.of(scores.tolist(), correct.tolist(), [str(place) for place in range(count)])


def _probability(scores: Floats) -> Floats:
    """Of a right answer, given its score."""
    log_odds = _PRIOR + SEPARATION * (np.clip(scores, -100.0, 100.0) - SEPARATION / 2)
    probabilities: Floats = expit(log_odds)
    return probabilities


def _score(probability: float) -> float:
    """The score that means a probability."""
    if not 0.0 < probability < 1.0:
        return -math.inf if probability <= 0.0 else math.inf
    return float((logit(probability) - _PRIOR) / SEPARATION + SEPARATION / 2)


def _coverage(threshold: float) -> float:
    """The true share of answers whose score is at least a threshold."""
    right, wrong = norm.sf(threshold - SEPARATION), norm.sf(threshold)
    return float(ACCURACY * right + (1 - ACCURACY) * wrong)


def _peer(answers: JudgedScores, risk: float, levels: Floats) -> float:
    """The least probability that the peer lets through; 1 where it certifies none."""
    from mapie.risk_control import BinaryClassificationController

    def probabilities(scores: Floats) -> Floats:
        own = _probability(scores.ravel())
        return np.column_stack([1.0 - own, own])

    controller = BinaryClassificationController(
        probabilities,
        risk="precision",
        target_level=1.0 - risk,
        confidence_level=1.0 - DELTA,
        list_predict_params=levels,
        fwer_method="fixed_sequence",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no level is valid, or that precision does not rise with every level
        controller.calibrate(answers.scores[:, None], answers.correct.astype(int))
    return 1.0 if controller.best_predict_param is None else float(controller.best_predict_param)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(prog="python -m evidence.peer")
    parser.add_argument("--simulations", type=int, default=200)
    options = parser.parse_args(arguments)
    print("| questions | at most | ours | peer | peer on our thresholds | ours − the better [95%] |")
    print("|---|---|---|---|---|---|")
    for count, risk in SETTINGS:
        own = covered(count, risk, options.simulations)
        gain, low, high = own.more
        figures = (
            f"{own.ours:.3f} | {own.theirs:.3f} | {own.theirs_on_ours:.3f} | {gain:+.3f} [{low:+.3f}, {high:+.3f}]"
        )
        print(f"| {count:,} | {100 * risk:g}% | {figures} |", flush=True)


if __name__ == "__main__":
    main()
