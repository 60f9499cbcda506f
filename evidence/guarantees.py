"""Does the guarantee hold on real answers? Calibrations are drawn from the test answers of a finished run.

`python -m evidence.guarantees RUN …`: a part of the groups is drawn again and again and calibrates. The risk of the
certified threshold on all test answers is then known, and so is how often it is above the target.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aspire_llm.results.calibration import judged_scores, stored_rule
from aspire_llm.results.predictions import PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import Certified, JudgedScores, RiskTarget, guarantee, realised

RISKS = (0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of many calibrations for one target.

    Attributes:
        target: What was to be guaranteed.
        feasible: Share of them that certified a threshold.
        broken: Share of them whose threshold has a risk above the target in the population.
        coverage: Mean share of the population that is answered; 0 where nothing is certified.
        best: The largest coverage in the population whose risk is at most the target.
    """

    target: RiskTarget
    feasible: float
    broken: float
    coverage: float
    best: float


def outcomes(
    population: JudgedScores, pilot: JudgedScores, *, size: int, draws: int, delta: float = 0.05
) -> Iterator[Outcome]:
    """Calibrate on groups drawn from a population.

    Args:
        population: Judged answers.
        pilot: Answers to other questions.
        size: Groups drawn for each calibration.
        draws: Calibrations.
        delta: Of the targets.
    """
    numbers, rng = population.group_numbers, np.random.default_rng(0)
    parts = [np.isin(numbers, rng.choice(numbers.max() + 1, size, replace=False)) for _ in range(draws)]
    for risk in RISKS:
        target = RiskTarget(risk, delta)
        found = [guarantee(_part(population, own), pilot, target, score="").outcome for own in parts]
        came = [realised(own.threshold, population) for own in found if isinstance(own, Certified)]
        yield Outcome(
            target,
            feasible=len(came) / draws,
            broken=sum((own.risk or 0.0) > risk for own in came) / draws,
            coverage=sum(own.coverage for own in came) / draws,
            best=_best(population, risk),
        )


def _part(answers: JudgedScores, chosen: np.ndarray) -> JudgedScores:
    groups = [name for name, own in zip(answers.groups, chosen, strict=True) if own]
    return JudgedScores(answers.scores[chosen], answers.correct[chosen], tuple(groups))


def _best(population: JudgedScores, risk: float) -> float:
    found = [realised(threshold, population) for threshold in np.unique(population.scores)]
    return max((own.coverage for own in found if own.risk is not None and own.risk <= risk), default=0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of each run."""
    parser = argparse.ArgumentParser(prog="python -m evidence.guarantees")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--size", type=int, default=400, help="groups that calibrate")
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args(arguments)
    print("| run | at most | certified | broken | answered | could be |\n|---|---|---|---|---|---|")
    for run in options.runs:
        config = RunDirectory.open(run).config
        rule, level = stored_rule(run, config), config.score.novelty_level
        population = judged_scores(map(rule.decide_again, PREDICTIONS.read(run)), level)
        pilot = judged_scores(map(rule.decide_again, VALIDATION_PREDICTIONS.read(run)), level)
        for own in outcomes(population, pilot, size=options.size, draws=options.draws):
            shares = (own.target.risk, own.feasible, own.broken, own.coverage, own.best)
            print(f"| {run} | {' | '.join(f'{100 * share:.1f}%' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
