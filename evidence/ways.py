"""Ways to learn θs other than the paper's: other answers, another loss, another depth, another question."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import AnswerReader
from aspire_llm.results.samples import QuestionSamples
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss

Loss: TypeAlias = Callable[..., Tensor]  # called as the paper's `verdict_loss`


@dataclass(frozen=True, slots=True)
class Way:
    """One way to learn θs.

    Attributes:
        changes: To the configuration of the run.
        loss: Makes what stage 3 minimises of all samples and the ids of the questions that are learned from.
        depth: The share of the layers after which the verdict is read.
        among_beams: Whether what is said of an answer is its share among the beams and "none of these".
    """

    changes: tuple[tuple[str, object], ...] = ()
    loss: Callable[[Sequence[QuestionSamples], Sequence[str]], Loss] = field(default=lambda *_: verdict_loss)
    depth: float = 1.0
    among_beams: bool = False


def _of_logits(judged: Callable[[Tensor, tuple[int, int], Sequence[VerdictExample]], Tensor]) -> Loss:
    """A loss `[B]` of the verdict logits of every answer to the examples `[B, n, vocab]`, those in S_c first."""

    def loss(
        model: AdaptedModel,
        verdict_tokens: tuple[int, int],
        batch: Sequence[VerdictExample],
        *,
        read: AnswerReader = AdaptedModel.read_answers,
    ) -> Tensor:
        answers = [example.correct + example.wrong for example in batch]
        logits = model.verdict_logits(*read(model, [example.prompt for example in batch], answers))
        return judged(logits, verdict_tokens, batch)

    return loss


def _of_odds(judged: Callable[[Tensor, Sequence[VerdictExample]], Tensor]) -> Loss:
    """A loss `[B]` of v = log P(z_c) − log P(z_w) of every answer to the examples `[B, n]`, those in S_c first."""
    return _of_logits(
        lambda logits, verdict_tokens, batch: judged(
            logits[..., verdict_tokens[0]] - logits[..., verdict_tokens[1]], batch
        )
    )


def beside_likelihood(samples: Sequence[QuestionSamples], learned_from: Sequence[str]) -> Loss:
    """θs learns what the likelihood does not say: −log σ(±(v + a·Σ log f + b·mean log f + c)).

    v is that of a question's likeliest answer; a, b and c are a logistic regression's of the questions learned from.
    """
    answers = {own.id: own.answers[0] for own in samples}
    parts = {name: own.answer.likelihoods for name, own in answers.items()}
    known = LogisticRegression(C=np.inf, max_iter=1000).fit(
        [parts[name] for name in learned_from], [answers[name].correct for name in learned_from]
    )
    offsets = dict(zip(parts, known.decision_function(list(parts.values())), strict=True))

    def judged(odds: Tensor, batch: Sequence[VerdictExample]) -> Tensor:
        verdicts = odds[:, 0]
        beside = verdicts.new_tensor([offsets[example.prompt.question.id] for example in batch])
        signs = verdicts.new_tensor([1.0 if example.correct else -1.0 for example in batch])
        return -nn.functional.logsigmoid(signs * (verdicts + beside))

    return _of_odds(judged)


def soft_targets(samples: Sequence[QuestionSamples], learned_from: Sequence[str]) -> Loss:
    """The target of a question's likeliest answer is its Rouge-L with the references instead of 0 or 1."""
    targets = {own.id: own.answers[0].rouge_l for own in samples}

    def judged(odds: Tensor, batch: Sequence[VerdictExample]) -> Tensor:
        verdicts = odds[:, 0]
        wanted = verdicts.new_tensor([targets[example.prompt.question.id] for example in batch])
        return nn.functional.binary_cross_entropy_with_logits(verdicts, wanted, reduction="none")

    return _of_odds(judged)


def weighed(samples: Sequence[QuestionSamples], learned_from: Sequence[str]) -> Loss:
    """The paper's loss, where an answer counts in its set by its probability; a reference as the likeliest there."""
    known = _log_probabilities(samples)

    def judged(logits: Tensor, verdict_tokens: tuple[int, int], batch: Sequence[VerdictExample]) -> Tensor:
        log_probs = torch.log_softmax(logits, dim=-1)
        losses = []
        for own, example in zip(log_probs, batch, strict=True):
            split, id = len(example.correct), example.prompt.question.id
            rows = own[:split, verdict_tokens[0]], own[split : len(example.wrong) + split, verdict_tokens[1]]
            losses.append(
                sum(
                    -(row * _weights([known.get((id, ids)) for ids in members], row)).sum()
                    for row, members in zip(rows, (example.correct, example.wrong), strict=True)
                    if members
                )
            )
        return torch.stack(losses)

    return _of_logits(judged)


def _weights(log_probabilities: Sequence[float | None], like: Tensor) -> Tensor:
    most = max((own for own in log_probabilities if own is not None), default=0.0)
    return torch.softmax(like.new_tensor([most if own is None else own for own in log_probabilities]), dim=0)


def side_by_side(samples: Sequence[QuestionSamples], learned_from: Sequence[str]) -> Loss:
    """−log of the share of the right beams, or else of "none of these", in a softmax of all v and 0.

    References that were not sampled take no part: what is judged later are beams alone.
    """
    known = _log_probabilities(samples)

    def judged(odds: Tensor, batch: Sequence[VerdictExample]) -> Tensor:
        losses = []
        for own, example in zip(odds, batch, strict=True):
            answers = example.correct + example.wrong
            taken = [place for place, ids in enumerate(answers) if (example.prompt.question.id, ids) in known]
            right = [i for i, place in enumerate(taken) if place < len(example.correct)]
            shares = torch.log_softmax(nn.functional.pad(own[taken], (0, 1)), dim=0)
            losses.append(-torch.logsumexp(shares[right or [-1]], dim=0))
        return torch.stack(losses)

    return _of_odds(judged)


def _log_probabilities(samples: Sequence[QuestionSamples]) -> dict[tuple[str, tuple[int, ...]], float]:
    return {
        (own.id, labelled.answer.token_ids): labelled.answer.sequence_log_probability
        for own in samples
        for labelled in own.answers
    }


@contextmanager
def read_at(backbone: Backbone, depth: float) -> Iterator[None]:
    """Within, the layers beyond this share of the depth do nothing: logits are those of the states below them."""
    whole = backbone.num_layers
    kept = round(depth * whole)
    skipped = backbone.layers[kept:]
    try:
        backbone.num_layers = kept  # whose keys and values are stored
        for layer in skipped:
            layer.forward = _unchanged
        yield
    finally:
        backbone.num_layers = whole
        for layer in skipped:
            del layer.forward


def _unchanged(hidden: Tensor, *_: object, **__: object) -> Tensor:
    return hidden


_SAMPLES, _LIKELIEST = ("stage3.learn_from", "samples"), ("stage3.learn_from", "likeliest")
_FOUR, _TWO = ("stage3.epochs", 4), ("stage3.epochs", 2)
_SOFT_PROMPT = (
    ("stage3.adapter", "soft_prompt"),
    ("stage3.num_soft_tokens", 10),
    ("stage3.learning_rate", 0.03),
)
WAYS = {
    "the run's": Way(),
    "likeliest alone": Way((_LIKELIEST, _FOUR)),
    "beside the likelihood": Way((_LIKELIEST, _FOUR), beside_likelihood),
    "soft targets": Way((_LIKELIEST, _FOUR), soft_targets),
    "two thirds of the depth": Way((_LIKELIEST, _FOUR), depth=2 / 3),
    "samples one epoch": Way((_SAMPLES, ("stage3.epochs", 1))),
    "samples two epochs": Way((_SAMPLES, _TWO)),
    "samples weighed": Way((_SAMPLES, _TWO), weighed),
    "four wrong samples": Way((_SAMPLES, _TWO, ("stage3.max_wrong", 4))),
    "side by side": Way((_SAMPLES, _TWO, ("stage3.max_correct", 10)), side_by_side, among_beams=True),
    "soft prompt": Way((_SAMPLES, _TWO, *_SOFT_PROMPT)),
    "soft prompt likeliest alone": Way((_LIKELIEST, _FOUR, *_SOFT_PROMPT)),
}
