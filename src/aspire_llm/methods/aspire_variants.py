"""Beyond the paper: other ways to read θs, to mix it, and to combine the cheap scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aspire_llm.errors import DataError
from aspire_llm.lm.answer_features import verdict_states
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.methods.answer_set import AnswerSet, Judged, Line
from aspire_llm.methods.method import Method, Needs
from aspire_llm.methods.probes import fitted_probe
from aspire_llm.records import Split
from aspire_llm.selection import selection_score

SOURCE = "beyond the paper"
_ALPHAS = np.linspace(0, 1, 21).tolist()


def best_alpha(lines: Sequence[Line]) -> float:
    """The α of the highest AUROC on answers whose correctness is known; the smallest of equally good ones.

    Raises:
        DataError: All of them are right, or all are wrong.
    """
    correct = _labels(lines)
    best: float = max(_ALPHAS, key=lambda alpha: float(roc_auc_score(correct, _mixed(lines, alpha))))
    return best


def _labels(lines: Sequence[Line]) -> list[bool]:
    correct = [bool(line["correct"]) for line in lines]
    if len(set(correct)) < 2:
        raise DataError(f"all {len(correct)} validation answers are right, or all wrong; there is nothing to learn")
    return correct


def _mixed(lines: Sequence[Line], alpha: float) -> list[float]:
    return [selection_score(line["log_likelihood"], line["log_self_eval"], alpha) for line in lines]


def _alpha(answers: AnswerSet) -> list[float]:
    return _mixed(answers.lines, best_alpha(answers.validation_lines))


def cheap_scores(line: Line) -> list[float]:
    """What comes with every prediction: mean and summed log-likelihood, length, log P(z_c)."""
    log_likelihood, length = line["log_likelihood"], line["num_tokens"]
    return [log_likelihood, log_likelihood * length, length, line["log_self_eval"]]


def _ensemble(answers: AnswerSet) -> list[float]:
    lines = answers.validation_lines
    correct = _labels(lines)
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    regression.fit([cheap_scores(line) for line in lines], correct)
    logits: list[float] = regression.decision_function([cheap_scores(line) for line in answers.lines]).tolist()
    return logits


def _readout(answers: AnswerSet) -> list[float]:
    """A linear probe on the last soft token's hidden state, in place of the verdict tokens."""
    with answers.offline():
        sides = []
        for split in (Split.TRAIN, Split.VALIDATION):
            judged = Judged.of(answers.source.examples(split))
            sides.append((_states(answers, judged.prompts, judged.answers), judged))
        probe, _ = fitted_probe(sides[0], sides[1])
    states = _states(answers, answers.prompts, [[ids] for ids in answers.token_ids])
    logits: list[float] = probe.decision_function(states).tolist()
    return logits


def _states(
    answers: AnswerSet, prompts: Sequence[EncodedPrompt], token_ids: Sequence[Sequence[tuple[int, ...]]]
) -> NDArray[np.float64]:
    """States of all answers in order, `[sum of answers, d]`."""

    def compute(indices: Sequence[int]) -> list[NDArray[np.float64]]:
        own = [token_ids[i] for i in indices]
        states = verdict_states(answers.source.model, [prompts[i] for i in indices], own).double().cpu().numpy()
        return [row[: len(ids)] for row, ids in zip(states, own, strict=True)]

    lengths = [len(prompt.token_ids) for prompt in prompts]
    return np.concatenate(answers.in_batches("read-out of θs", lengths, compute))


ASPIRE_ALPHA = Method("aspire_alpha", f"{SOURCE}: α chosen on validation", _alpha, Needs.VERDICT)
ASPIRE_READOUT = Method("aspire_readout", f"{SOURCE}: linear read-out of θs", _readout, Needs.MODEL)
ENSEMBLE = Method("ensemble", f"{SOURCE}: regression on likelihood, length and P(z_c)", _ensemble, Needs.VERDICT)
