"""Which θp gives the samples, and which θp are the read-out and θs learned behind?

`python -m evidence.folds run WORK TASK SEED ARM [--squad PATH] [--set KEY=VALUE …]` makes one run of an arm; killed,
the same command goes on. `python -m evidence.folds table WORK TASK` holds the arms that are there against the paper's:
the calibration questions, which fit none of what is compared, choose; the test questions judge.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aspire_llm.config_files import parse_change, with_changes
from aspire_llm.data.cross_fitting import CrossFit
from aspire_llm.learning import Learning
from aspire_llm.pipeline import Pipeline, run
from aspire_llm.records import MethodScores, Prediction, Split
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, PREDICTIONS
from aspire_llm.samplers import Samplers
from aspire_llm.selection import defined
from aspire_llm.selection.pooled import PooledMethods
from evidence.begun import begin_from
from evidence.tasks import TASKS

_FOLDS, _BEHIND, _PAPER = "folds", "folds, learned behind the answering θp", "the tuned questions"
ARMS: Mapping[str, tuple[tuple[str, object], ...]] = {
    _PAPER: (("stage2.held_out", 0), ("stage2.folds", 1)),
    "held out": (),
    _FOLDS: (("stage2.held_out", 0), ("stage2.folds", 2)),
    _BEHIND: (("stage2.held_out", 0), ("stage2.folds", 2)),
}
_SPLITS = {Split.CALIBRATION: CALIBRATION_PREDICTIONS, Split.TEST: PREDICTIONS}


def folder_of(work: Path, task: str, arm: str, seed: int) -> Path:
    """Of one run."""
    return work / task / arm.replace(" ", "_").replace(",", "") / str(seed)


def make(work: Path, task: str, seed: int, arm: str, changes: Sequence[tuple[str, object]], squad: str | None) -> None:
    """One run of an arm, from what the run with folds sampled where it is the one that learns behind another θp."""
    own = next(known for known in TASKS if known.name == task)
    config = with_changes(own.config(seed, {"squad": squad}), [*ARMS[arm], *changes])
    folder = folder_of(work, task, arm, seed)
    if arm == _BEHIND and not PREDICTIONS.exists(folder):
        sampled = folder_of(work, task, _FOLDS, seed)
        adapters = [adapter.name for adapter in sampled.glob("task*_adapter")]
        learning = _BehindTheAnswering(Pipeline(begin_from(sampled, folder, adapters)))
        learning.learn_states()
        if config.stage3.enabled:
            learning.learn_self_evaluation()
    run(config, folder)


class _BehindTheAnswering(Learning):
    """Reads the samples of all folds behind the θp that answers."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline.directory, pipeline.model)
        self._samplers = Samplers(CrossFit((), (), {}), lambda: pipeline.model.task, self._fold_task)


def table(work: Path, task: str) -> str:
    """Accuracy, and AUROC and AUACC of the fused score, of each arm; its difference from the paper's arm."""
    seeds = {arm: _seeds(folder_of(work, task, arm, 0).parent) for arm in ARMS}
    arms = [arm for arm in ARMS if seeds[arm] and seeds[arm] == seeds[_PAPER]]
    lines = []
    for split, given in _SPLITS.items():
        runs = [
            [_scores(arm, list(given.read(folder_of(work, task, arm, seed)))) for arm in arms] for seed in seeds[_PAPER]
        ]
        pooled = PooledMethods(runs)
        for i, arm in enumerate(arms):
            accuracy = float(np.mean([np.mean(run[i].correct) for run in runs]))
            cells = [str(split), arm, f"{100 * accuracy:.1f}"]
            for metric in ("auroc", "auacc"):
                figure, gain = pooled.figure(arm, metric), pooled.difference(arm, _PAPER, metric)
                low, high = defined(gain.ci) or (float("nan"),) * 2
                cells.append(f"{100 * float(defined(figure.estimate) or 0):.1f}")
                cells.append(f"{100 * float(defined(gain.estimate) or 0):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _seeds(folder: Path) -> list[int]:
    return sorted(int(own.parent.name) for own in folder.glob("*/metrics.json"))


def _scores(arm: str, predictions: Sequence[Prediction]) -> MethodScores:
    return MethodScores(
        arm,
        tuple(own.scored.selection_score for own in predictions),
        tuple(bool(own.correct) for own in predictions),
        tuple(own.question.cluster for own in predictions),
    )


def main() -> None:
    """Make a run, or print the table."""
    parser = argparse.ArgumentParser(prog="python -m evidence.folds")
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("work", type=Path)
    parser.add_argument("task", choices=("facts", "squad", "world"))
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("arm", choices=tuple(ARMS), nargs="?")
    parser.add_argument("--squad")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    if options.what == "table":
        print(table(options.work, options.task))
        return
    changes = [parse_change(own) for own in options.set]
    make(options.work, options.task, options.seed, options.arm, changes, options.squad)


if __name__ == "__main__":
    main()
