"""How many beams should the fused score choose the answer from, and what does that do to accuracy and guarantees?

`python -m evidence.reranking RUN …`: finished runs of one task, such as its seeds. The number of candidates is chosen
by the validation answers, on which the score is fitted too; calibration answers certify, and may choose nothing. Gains
are paired, with intervals by bootstrap over groups; a question that stands in several runs is drawn in all or in none.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.methods.fused import fit_validation_fused
from aspire_llm.records import Prediction, Split
from aspire_llm.report.tables import percent, points
from aspire_llm.results.calibration import calibrate, decision_rule, judged_scores
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import AspireScore, Certified, DecisionRule, Difference, RiskTarget, Scoring, defined
from aspire_llm.selection.bootstrap import Interval
from aspire_llm.selection.decided import Decided
from aspire_llm.selection.pooled import accuracy_difference

TRIED = (2, 3, 4, 6, 10)
RISKS = (0.1, 0.2, 0.3)
_FILES = {
    Split.VALIDATION: VALIDATION_PREDICTIONS,
    Split.CALIBRATION: CALIBRATION_PREDICTIONS,
    Split.TEST: PREDICTIONS,
}


@dataclass(frozen=True, slots=True)
class Decisions:
    """A run with a number of candidates.

    Attributes:
        config: Of the run.
        rule: What decides, with the score that was fitted for that number.
        answers: By split, as it decides.
    """

    config: RunConfig
    rule: DecisionRule
    answers: dict[Split, list[Prediction]]

    @classmethod
    def of(cls, run: Path, candidates: int) -> "Decisions":
        """Of a finished run, whatever its own number is."""
        config = with_changes(RunDirectory.open(run).config, [("score.candidates", candidates)])
        stored = {split: file.read(run) for split, file in _FILES.items()}
        rule = decision_rule(config, fused=fit_validation_fused(stored[Split.VALIDATION], config))
        return cls(config, rule, stored).by(rule.scoring)

    def by(self, scoring: Scoring) -> "Decisions":
        """The same where another score ranks."""
        rule = replace(self.rule, scoring=scoring)
        return replace(
            self,
            rule=rule,
            answers={split: [rule.decide_again(own) for own in answers] for split, answers in self.answers.items()},
        )

    def came_of(self, target: RiskTarget) -> tuple[bool, Decided]:
        """Whether a threshold is certified for a target, and what it does to the test questions."""
        calibration, validation = self.answers[Split.CALIBRATION], self.answers[Split.VALIDATION]
        found = calibrate(self.config, calibration, lambda: validation, self.rule, [target]).guarantees[0].outcome
        threshold = found.threshold if isinstance(found, Certified) else None
        judged = judged_scores(self.answers[Split.TEST], self.config.score.novelty_level)
        return threshold is not None, Decided.at(judged, threshold)


def gain(runs: Sequence[Decisions], split: Split, than: Sequence[Decisions] | None = None) -> Difference:
    """Accuracy of the answers given minus that of the likeliest, or of others, over all answers to a split."""
    answers = [own.answers[split] for own in runs]
    others = [own.answers[split] for own in than] if than else [[own.likeliest for own in part] for part in answers]
    return accuracy_difference(
        [[bool(own.correct) for own in part] for part in answers],
        [[bool(own.correct) for own in part] for part in others],
        [[own.question.cluster for own in part] for part in answers],
    )


def chosen(tried: Mapping[int, Sequence[Decisions]]) -> int:
    """The number with the largest gain on validation answers, of equals the smallest; 1 where none gains."""
    gains = {number: defined(gain(runs, Split.VALIDATION).estimate) or 0.0 for number, runs in tried.items()}
    best = max(sorted(gains), key=gains.__getitem__)
    return best if gains[best] > 0.0 else 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what every number gains on validation and calibration answers, and what the chosen one does on test."""
    parser = argparse.ArgumentParser(prog="python -m evidence.reranking")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--delta", type=float, default=0.05)
    options = parser.parse_args(arguments)
    tried = {number: [Decisions.of(run, number) for run in options.runs] for number in TRIED}
    print("| candidates | gain on validation [95%] | gain on calibration [95%] |\n|---|---|---|")
    for number, runs in tried.items():
        print(f"| {number} | {_shown(gain(runs, Split.VALIDATION))} | {_shown(gain(runs, Split.CALIBRATION))} |")
    number = chosen(tried)
    print(f"\nChosen: {number}.", flush=True)
    if number == 1:
        return
    before, after = [Decisions.of(run, 1) for run in options.runs], tried[number]
    shares = [
        " → ".join(percent(float(np.mean([bool(own.correct) for own in runs.answers[Split.TEST]]))) for runs in pair)
        for pair in zip(before, after, strict=True)
    ]
    print(f"Test: {'; '.join(shares)}; gain {_shown(gain(after, Split.TEST))}.")
    control = [own.by(AspireScore(0.0)) for own in after]
    over, both = gain(control, Split.TEST), gain(after, Split.TEST, than=control)
    print(f"Control, the mean log-likelihood ranks: gain {_shown(over)}; the fused score minus it {_shown(both)}.\n")
    print("| at most | certified | answered | difference [95%] | wrong of these | difference [95%] |\n|" + "---|" * 6)
    for risk in RISKS:
        target = RiskTarget(risk, options.delta)
        print(_row(target, *([own.came_of(target) for own in runs] for runs in (before, after))), flush=True)


def _row(target: RiskTarget, before: Sequence[tuple[bool, Decided]], after: Sequence[tuple[bool, Decided]]) -> str:
    """A row of the table of guarantees: the likeliest answers, then those given."""
    certified = [f"{sum(found for found, _ in runs)} of {len(runs)}" for runs in (before, after)]
    both = [Decided.pooled([own for _, own in runs]) for runs in (before, after)]
    cells = [f"{100 * target.risk:g}%", " → ".join(certified)]
    for old, new in ([own.coverage() for own in both], [own.risk() for own in both]):
        cells += [" → ".join("–" if own.value is None else percent(own.value) for own in (old, new))]
        difference = new.minus(old)
        cells += ["–" if difference.value is None else _with_interval(difference.value, defined(difference.ci))]
    return f"| {' | '.join(cells)} |"


def _shown(difference: Difference) -> str:
    return _with_interval(defined(difference.estimate) or 0.0, defined(difference.ci))


def _with_interval(value: float, bounds: Interval | None) -> str:
    return points(value) + (f" [{points(bounds[0])}, {points(bounds[1])}]" if bounds else "")


if __name__ == "__main__":
    main()
