"""A run directory with many methods, their costs, sweeps and other seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from report.synthetic_run import method_scores, metrics_of, origin

from aspire_llm.records import Answers, Prediction, UntunedAnswer
from aspire_llm.results.metrics import METRICS
from aspire_llm.results.scores import COSTS, Cost, StoredScores, scores_file
from aspire_llm.results.studies import SEEDS, SWEEPS, Sweep, SweepFigures, SweepPoint, Sweeps
from aspire_llm.selection import SeedSummary, Spread, evaluate

# How much each invented method knows, and its relative cost.
TUNED = {
    "aspire": (2.0, 1.1),
    "aspire_readout": (1.9, 1.1),
    "perplexity": (1.5, 1.0),
    "sequence_log_probability": (1.4, 1.0),
    "semantic_entropy": (1.7, 12.0),
    "sar": (1.6, 11.0),
    "self_evaluation": (0.6, 1.1),
    "hidden_state_probe": (1.8, 1.01),
    "my_method": (0.4, 3.0),
}
UNTUNED = {"perplexity_untuned": (0.5, 1.0), "semantic_entropy_untuned": (0.9, 11.5)}

SWEPT = (
    Sweep(
        "score.alpha",
        "α",
        tuple(
            SweepPoint(value, {"aspire": SweepFigures(0.7, auroc, 0.9, (auroc - 0.02, auroc + 0.01), None)})
            for value, auroc in ((0.0, 0.8), (0.25, 0.9), (1.0, 0.6))
        ),
    ),
    Sweep(
        "stage1.adapter",
        "adapter",
        (
            SweepPoint("soft_prompt", {"aspire": SweepFigures(0.7, 0.8, 0.9, None, None)}),
            SweepPoint(
                "lora",
                {
                    "aspire": SweepFigures(0.7, 0.82, 0.9, None, None),
                    "sar": SweepFigures(0.7, None, 0.9, None, None),
                },
            ),
        ),
    ),
)
_LEVELS = {
    "accuracy": Spread.of([0.7, 0.71, 0.69]),
    "auroc": Spread.of([0.8, 0.82, 0.84]),
    "auacc": Spread.of([0.9, 0.9, 0.93]),
}
# A difference in AUROC that holds on two of three seeds, and one in AUACC that a seed does not define.
SEEDED = SeedSummary(
    seeds=(0, 1, 2),
    left_out=(),
    methods={"sar": _LEVELS, "aspire": _LEVELS},
    differences={
        "aspire - sar": {
            "auroc": Spread(0.02, 0.03, (-0.01, 0.05), (0.02, -0.01, 0.05)),
            "auacc": Spread(None, None, None, (0.1, None, 0.2)),
        }
    },
)


def write_rich_files(
    run_dir: Path, predictions: Sequence[Prediction], untuned: Sequence[UntunedAnswer], seed: int = 3
) -> None:
    """Add more `scores/`, `costs.json`, `sweep.json` and `seeds.json`, with `metrics.json` to match."""
    rng = np.random.default_rng(seed)
    methods, costs = [], {}
    answered: tuple[tuple[Answers, Sequence[Prediction | UntunedAnswer], dict[str, tuple[float, float]]], ...] = (
        (Answers.TUNED, predictions, TUNED),
        (Answers.UNTUNED, untuned, UNTUNED),
    )
    for answers, own, knowledge in answered:
        correct, ids = np.array([answer.correct for answer in own]), tuple(answer.question.id for answer in own)
        for name, (strength, relative) in knowledge.items():
            scores = tuple((strength * correct + rng.normal(size=len(own))).tolist())
            costs[name] = Cost((relative - 1) / 10, 10.0 * (relative > 5), relative)
            stored = StoredScores(name, answers, origin(name).source, ids, scores, costs[name])
            scores_file(name).write(run_dir, stored)
            methods.append(method_scores(name, own, scores))
    confidence = method_scores("confidence", predictions, [own.confidence or 0.0 for own in predictions])
    evaluation = evaluate(methods, seed=0, num_resamples=100, confidence=confidence)
    METRICS.write(run_dir, metrics_of(evaluation, predictions))
    COSTS.write(run_dir, dict(costs))
    SWEEPS.write(run_dir, Sweeps(SWEPT))
    SEEDS.write(run_dir, SEEDED)
