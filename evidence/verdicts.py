"""`python -m evidence.verdicts RUN WORK [--only NAME,…]`: other ways to learn θs, from the same samples.

Each way has a folder in WORK, with θs and what it says of the run's own answers; killed, the same command goes on.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aspire_llm.config_files import with_changes
from aspire_llm.data import load_splits
from aspire_llm.learning import Learning
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.self_evaluation import log_self_evaluation
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.records import MethodScores, Prediction, Split
from aspire_llm.results.predictions import PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.samples import SAMPLES
from aspire_llm.run_model import RunModel
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.files import Lines
from aspire_llm.rundir.own import MARKER
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.typed import typed_lines
from aspire_llm.rundir.writing import write_text
from aspire_llm.selection import selection_score
from aspire_llm.selection.pooled import PooledMethods

WAYS: dict[str, list[tuple[str, object]]] = {
    "the run's": [],
    "two epochs": [("stage3.epochs", 2)],
    "four wrong answers": [("stage3.max_wrong", 4)],
    "four wrong answers two epochs": [("stage3.max_wrong", 4), ("stage3.epochs", 2)],
    "likeliest alone": [("stage3.learn_from", "likeliest"), ("stage3.epochs", 4)],
    "soft prompt": [
        ("stage3.adapter", "soft_prompt"),
        ("stage3.num_soft_tokens", 10),
        ("stage3.learning_rate", 0.03),
        ("stage3.epochs", 2),
    ],
}
_GIVEN = {Split.VALIDATION: VALIDATION_PREDICTIONS, Split.TEST: PREDICTIONS}
_ALPHA = 0.25


def verdicts_file(split: Split) -> Lines[float]:
    """log P(z_c) of the run's own answers to a split, in their order."""
    return typed_lines(f"verdicts_{split}.jsonl", "verdict", float)


def learn(run: Path, folder: Path, changes: Sequence[tuple[str, object]]) -> None:
    """Learn θs in a way, and take down what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MARKER, SAMPLES.name, EXAMPLES.name, PROVENANCE.name):
        shutil.copyfile(run / name, folder / name)
    for name in ("task_adapter", *(() if changes else ("self_eval_adapter",))):
        shutil.copytree(run / name, folder / name, dirs_exist_ok=True)
    config = with_changes(RunDirectory.open(run).config, changes)
    write_text(folder / "config.yaml", config.to_yaml())
    directory = RunDirectory.open(folder)
    model = RunModel(directory, *load_splits(config))
    if not (folder / "self_eval_adapter").is_dir():
        Learning(directory, model).learn_self_evaluation()
    for split, given in _GIVEN.items():
        if given.exists(run):  # only a run that chooses on validation answers has them
            verdicts_file(split).write(folder, _verdicts(model, model.prompts[split], given.read(run)))


def _verdicts(model: RunModel, prompts: Sequence[EncodedPrompt], given: Sequence[Prediction]) -> list[float]:
    def judge(indices: Sequence[int]) -> list[float]:
        answers = [[given[i].sampled.token_ids] for i in indices]
        cache, branches = model.model.read_answers([prompts[i] for i in indices], answers)
        logits = model.model.verdict_logits(cache, branches).detach()
        found: list[float] = log_self_evaluation(logits, model.verdict_tokens)[:, 0].tolist()
        return found

    return by_length([len(prompt.token_ids) for prompt in prompts], 16, judge)


def line(run: Path, folder: Path, name: str) -> str:
    """How well what it says ranks the answers, with 95% intervals, and against the likelihood and the states."""
    cells = [name]
    for split, given in _GIVEN.items():
        pooled = PooledMethods([_methods(given.read(run), verdicts_file(split).read(folder))])
        for method, rival in (("verdict", None), ("aspire", "likelihood"), ("verdict", "states")):
            own = pooled.difference(method, rival, "auroc") if rival else pooled.figure(method, "auroc")
            low, high = own.ci  # type: ignore[misc]  # of many groups
            cells.append(f"{100 * own.estimate:.1f} ({100 * low:.1f} to {100 * high:.1f})")  # type: ignore[operator]
    return f"| {' | '.join(cells)} |"


def _methods(predictions: Sequence[Prediction], verdicts: Sequence[float]) -> list[MethodScores]:
    likelihood = np.array([own.sampled.log_likelihood for own in predictions])
    scores = {
        "likelihood": likelihood,
        "verdict": np.array(verdicts),
        "aspire": selection_score(likelihood, np.array(verdicts), _ALPHA),
        "states": np.array([own.scored.evidence.states for own in predictions], dtype=np.float64),
    }
    correct = tuple(bool(own.correct) for own in predictions)
    groups = tuple(own.question.cluster for own in predictions)
    return [MethodScores(name, tuple(own.tolist()), correct, groups) for name, own in scores.items()]


def main() -> None:
    """Learn whatever is not there yet, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m evidence.verdicts")
    parser.add_argument("run", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only")
    options = parser.parse_args()
    for name in options.only.split(",") if options.only else WAYS:
        folder = options.work / name.replace(" ", "_")
        if not verdicts_file(Split.TEST).exists(folder):
            learn(options.run, folder, WAYS[name])
        print(line(options.run, folder, name), flush=True)


if __name__ == "__main__":
    main()
