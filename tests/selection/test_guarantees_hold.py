"""The promise of `calibrate`, kept over thousands of simulated calibrations with the novelty guard on."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from aspire_llm.config import RunConfig
from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer
from aspire_llm.results.calibration import calibrate, decision_rule
from aspire_llm.selection import Certified, RiskTarget, Unit

CONFIG = RunConfig.model_validate({"score": {"alpha": 0.0}, "stage3": {"enabled": False}})
RULE = decision_rule(CONFIG)
ACCURACY, SEPARATION = 0.8, math.sqrt(2) * norm.ppf(0.9)
SIMULATIONS = 2000


def true_risk(threshold: float) -> float:
    right, wrong = ACCURACY * norm.sf(threshold - SEPARATION), (1 - ACCURACY) * norm.sf(threshold)
    return float(wrong / (right + wrong))


def true_coverage(threshold: float) -> float:
    return float(ACCURACY * norm.sf(threshold - SEPARATION) + (1 - ACCURACY) * norm.sf(threshold))


def predictions(rng: np.random.Generator, groups: list[int], correlation: float) -> list[Prediction]:
    """Answers of an accuracy of 80% and an AUROC of .9, as correlated within groups as is asked for."""
    own, shared = rng.normal(size=len(groups)), rng.normal(size=max(groups) + 1)[groups]
    correct = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own < norm.ppf(ACCURACY)
    scores, novelty = rng.normal(size=len(groups)) + SEPARATION * correct, rng.random(len(groups))
    return [
        Prediction(
            Question(str(place), "?", ("!",), group=str(group)),
            ScoredAnswer(Evidence(SampledAnswer("!", (1,), score, 1)), score),
            rouge_l=float(right),
            correct=bool(right),
            novelty=p_value,
        )
        for place, (group, right, score, p_value) in enumerate(
            zip(groups, correct, scores.tolist(), novelty.tolist(), strict=True)
        )
    ]


def alone(rng: np.random.Generator, count: int) -> list[int]:
    return list(range(count))


def grouped(rng: np.random.Generator, count: int) -> list[int]:
    return np.repeat(np.arange(count), rng.integers(1, 41, size=count)).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "correlation", "count", "target", "least_coverage"),
    [
        (alone, 0.0, 200, RiskTarget(0.1, 0.1), 0.68),
        (alone, 0.0, 500, RiskTarget(0.05, 0.1), 0.48),
        (grouped, 0.3, 150, RiskTarget(0.1, 0.1), 0.6),
    ],
)
def test_it_fails_no_more_often_than_delta(
    groups: Callable[[np.random.Generator, int], list[int]],
    correlation: float,
    count: int,
    target: RiskTarget,
    least_coverage: float,
) -> None:
    rng = np.random.default_rng(0)
    broken, coverages, units = 0, [], set()
    for _ in range(SIMULATIONS):
        pilot = predictions(rng, groups(rng, 100 if groups is grouped else 300), correlation)
        own = predictions(rng, groups(rng, count), correlation)
        found = calibrate(CONFIG, own, lambda pilot=pilot: pilot, RULE, [target]).guarantee(target.risk)
        units.add(found.unit)
        if isinstance(found.outcome, Certified):
            broken += true_risk(found.outcome.threshold) > target.risk
            coverages.append(true_coverage(found.outcome.threshold))
    print(
        f"broken {broken / SIMULATIONS:.3f}, feasible {len(coverages) / SIMULATIONS:.3f}, "
        f"coverage {sum(coverages) / SIMULATIONS:.3f}, {units}"
    )
    assert broken / SIMULATIONS <= target.delta + 2 * math.sqrt(target.delta * (1 - target.delta) / SIMULATIONS)
    assert len(coverages) / SIMULATIONS >= 0.9
    assert sum(coverages) / SIMULATIONS >= least_coverage  # what is not certified answers nothing
    assert units == ({Unit.QUESTION} if groups is alone else units - {Unit.QUESTION})
