"""`python -m evidence.verdicts WORK RUN… [--only NAME,…]`: other ways to learn θs, from the same samples.

Each way has a folder in WORK, and in it one for each run, called as the run is, with θs and what it says of that
run's answers; killed, the same command goes on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aspire_llm.data import load_splits
from aspire_llm.learning import Learning
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.self_evaluation import log_self_evaluation
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.records import MethodScores, Prediction, Split
from aspire_llm.results.predictions import PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.results.samples import SAMPLES
from aspire_llm.run_model import RunModel
from aspire_llm.rundir.files import Lines
from aspire_llm.rundir.typed import typed_lines
from aspire_llm.selection import defined, selection_score
from aspire_llm.selection.pooled import PooledMethods
from evidence.begun import begin_from
from evidence.ways import WAYS, Way, read_at

_GIVEN = {Split.VALIDATION: VALIDATION_PREDICTIONS, Split.TEST: PREDICTIONS}
_ALPHAS = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75)


def verdicts_file(split: Split) -> Lines[float]:
    """log P(z_c) of the run's own answers to a split, in their order."""
    return typed_lines(f"verdicts_{split}.jsonl", "verdict", float)


def learn(run: Path, folder: Path, name: str) -> None:
    """Learn θs in a way, and take down what it says."""
    way = WAYS[name]
    adapters = ("task_adapter", *(() if way.changes else ("self_eval_adapter",)))
    directory = begin_from(run, folder, adapters, way.changes)
    model = RunModel(directory, *load_splits(directory.config))
    with read_at(model.backbone, way.depth):
        if not (folder / "self_eval_adapter").is_dir():
            learned_from = [prompt.question.id for prompt in model.sampled_prompts(Split.TRAIN)]
            loss = way.loss(list(SAMPLES.read(run)), learned_from)
            Learning(directory, model, verdict_loss=loss).learn_self_evaluation()
        for split, given in _GIVEN.items():
            if given.exists(run):  # only a run that chooses on validation answers has them
                verdicts_file(split).write(folder, _verdicts(model, way, model.prompts[split], given.read(run)))


def _verdicts(model: RunModel, way: Way, prompts: Sequence[EncodedPrompt], given: Sequence[Prediction]) -> list[float]:
    @torch.no_grad()
    def judge(indices: Sequence[int]) -> list[float]:
        answers = [_judged(given[i], way) for i in indices]
        cache, branches = model.model.read_answers([prompts[i] for i in indices], answers)
        logits = model.model.verdict_logits(cache, branches)
        if not way.among_beams:
            return list(log_self_evaluation(logits, model.verdict_tokens)[:, 0].tolist())
        odds = logits[..., model.verdict_tokens[0]] - logits[..., model.verdict_tokens[1]]
        return [float(_share(own[: len(judged)])) for own, judged in zip(odds, answers, strict=True)]

    return by_length([len(prompt.token_ids) for prompt in prompts], 16, judge)


def _share(odds: Tensor) -> Tensor:
    """Log of the first's share among all and "none of these"."""
    return torch.log_softmax(nn.functional.pad(odds, (0, 1)), dim=0)[0]


def _judged(prediction: Prediction, way: Way) -> list[tuple[int, ...]]:
    """The answer, and whatever it is held against."""
    beams = prediction.scored.evidence.beams if way.among_beams else ()
    return list(dict.fromkeys([prediction.sampled.token_ids, *(beam.token_ids for beam in beams)]))


def line(runs: Sequence[Path], folders: Sequence[Path], name: str) -> str:
    """How well what it says ranks the answers, over all runs, with 95% intervals, and against likelihood and states.

    α is chosen on each run's validation answers.
    """
    alphas = []
    told: dict[Split, list[list[MethodScores]]] = {split: [] for split in _GIVEN}
    for run, folder in zip(runs, folders, strict=True):
        answers = {split: list(given.read(run)) for split, given in _GIVEN.items()}
        verdicts = {split: list(verdicts_file(split).read(folder)) for split in _GIVEN}
        alpha = max(_ALPHAS, key=lambda own: _auroc(answers[Split.VALIDATION], verdicts[Split.VALIDATION], own))
        alphas.append(f"{alpha:g}")
        for split in _GIVEN:
            told[split].append(_methods(answers[split], verdicts[split], alpha))
    cells = [name, ", ".join(alphas)]
    for methods in told.values():
        pooled = PooledMethods(methods)
        for method, rival in (("verdict", None), ("aspire", "likelihood"), ("verdict", "states")):
            own = pooled.difference(method, rival, "auroc") if rival else pooled.figure(method, "auroc")
            low, high = own.ci  # type: ignore[misc]  # of many groups
            cells.append(f"{100 * own.estimate:.1f} ({100 * low:.1f} to {100 * high:.1f})")  # type: ignore[operator]
    return f"| {' | '.join(cells)} |"


def _auroc(predictions: Sequence[Prediction], verdicts: Sequence[float], alpha: float) -> float:
    found = PooledMethods([_methods(predictions, verdicts, alpha)]).figure("aspire", "auroc").estimate
    return float(defined(found) or 0.0)


def _methods(predictions: Sequence[Prediction], verdicts: Sequence[float], alpha: float) -> list[MethodScores]:
    likelihood = np.array([own.sampled.log_likelihood for own in predictions])
    scores = {
        "likelihood": likelihood,
        "verdict": np.array(verdicts),
        "aspire": selection_score(likelihood, np.array(verdicts), alpha),
        "states": np.array([own.scored.evidence.states for own in predictions], dtype=np.float64),
    }
    correct = tuple(bool(own.correct) for own in predictions)
    groups = tuple(own.question.cluster for own in predictions)
    return [MethodScores(name, tuple(own.tolist()), correct, groups) for name, own in scores.items()]


def main() -> None:
    """Learn whatever is not there yet, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m evidence.verdicts")
    parser.add_argument("work", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--only")
    options = parser.parse_args()
    for name in options.only.split(",") if options.only else WAYS:
        folders = [options.work / name.replace(" ", "_") / run.name for run in options.runs]
        for run, folder in zip(options.runs, folders, strict=True):
            if not verdicts_file(Split.TEST).exists(folder):
                learn(run, folder, name)
        print(line(options.runs, folders, name), flush=True)


if __name__ == "__main__":
    main()
