"""What a model shows while it reads given answers: likelihoods, entropies and hidden states."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.cache import TokenGrid, TokenTree
from aspire_llm.lm.read_states import by_position, prompt_ends
from aspire_llm.lm.tokenization import EncodedPrompt


@dataclass(frozen=True, slots=True)
class AnswerFeatures:
    """Of one answer of T tokens, its terminator counted: the likeliest where there are several.

    Attributes:
        log_probs: Of each token given all before, in nats, `[T]`.
        entropies: Of the distribution that each token stands in, in nats, `[T]`.
        hidden: Output of some layers by `Position` (the terminator is not read), float32 `[positions, layers, d]`.
    """

    log_probs: NDArray[np.float32]
    entropies: NDArray[np.float32]
    hidden: NDArray[np.float32]


def spread_layers(num_layers: int, most: int = 8) -> list[int]:
    """At most `most` layer numbers, evenly spread, the last layer among them."""
    return sorted({round((i + 1) * num_layers / min(most, num_layers)) - 1 for i in range(min(most, num_layers))})


@torch.no_grad()
def answer_features(
    model: AdaptedModel, prompts: Sequence[EncodedPrompt], answers: TokenGrid, layers: Sequence[int]
) -> list[list[AnswerFeatures]]:
    """Features of the answers to B questions, each prompt read once.

    Args:
        model: θ + θp.
        prompts: B questions.
        answers: Token ids of the answers to each question, without terminator.
        layers: Whose hidden states are wanted.
    """
    with model.backbone.layer_outputs() as outputs:
        cache, root, first_logits = model.read(prompts)
        last = outputs[-model.backbone.num_layers :]
        ends = prompt_ends(cache, root, [last[layer] for layer in layers], prompts)  # [B, layers, d]
        token_ids, valid = model.token_grid(answers)
        length = token_ids.shape[-1]
        logits, hidden = first_logits[:0], ends[:0]
        if length:
            n = token_ids.shape[1]
            branches = root.select(torch.zeros(len(prompts), n, dtype=torch.long, device=valid.device))
            with model.task.active():
                logits, _ = cache.extend(branches, model.backbone.embed(token_ids), valid, logits_at=valid)
            last = outputs[-model.backbone.num_layers :]
            # [B, n, A, layers, d]
            hidden = torch.stack([cache.by_branch(last[layer], branches) for layer in layers], 3)
    rows = valid.flatten().cumsum(0).view(valid.shape) - 1  # of a token in `logits`
    result: list[list[AnswerFeatures]] = []
    for i, own in enumerate(answers):
        result.append([])
        for j, ids in enumerate(own):
            predicting = torch.cat([first_logits[i : i + 1], logits[rows[i, j, : len(ids)]]])
            end = max(model.terminators, key=lambda own: float(predicting[-1, own]))
            targets = torch.tensor([*ids, end], device=predicting.device)
            states = by_position(ends[i], hidden[i, j, : len(ids)] if ids else ends[:0])
            result[-1].append(_features(predicting, targets, states))
    return result


@torch.no_grad()
def answer_states(
    model: AdaptedModel, prompts: Sequence[EncodedPrompt], answers: TokenGrid, layers: Sequence[int]
) -> list[NDArray[np.float32]]:
    """`AnswerFeatures.hidden` of the answers to each of B questions, `[answers, positions, layers, d]`.

    What answers to a question begin with in common is read once, where branches can share it.

    Args:
        model: θ + θp.
        prompts: B questions.
        answers: Token ids of the answers to each question, without terminator.
        layers: Whose hidden states are wanted, in rising order.
    """
    if not model.backbone.shares_prefixes:
        found = answer_features(model, prompts, answers, layers)
        return [np.stack([own.hidden for own in question]) for question in found]
    tree = TokenTree.of(answers, model.backbone.eos_token_id, model.backbone.device)
    with model.backbone.layer_outputs(only=layers) as outputs:
        cache, root, _ = model.read(prompts, room=tree.token_ids.shape[1])
        ends = prompt_ends(cache, root, outputs[-len(layers) :], prompts)  # [B, layers, d]
        outputs.clear()
        with model.task.active():
            cache.extend_by_tree(root, model.backbone.embed(tree.token_ids), tree)
    rows = torch.stack(outputs, dim=2) if outputs else ends[:, None][:, :0]  # [B, R, layers, d]
    return [
        torch.stack([by_position(ends[i], rows[i, tree.paths[i, j]]) for j in range(len(own))]).float().cpu().numpy()
        for i, own in enumerate(answers)
    ]


@torch.no_grad()
def verdict_states(
    model: AdaptedModel, prompts: Sequence[EncodedPrompt], answers: TokenGrid
) -> Float[Tensor, "batch branches dim"]:
    """Last layer's output at the last soft token of θs after each answer, in float32."""
    cache, branches = model.read_answers(prompts, answers)
    with model.backbone.layer_outputs() as outputs:
        model.verdict_logits(cache, branches)
    return cache.by_branch(outputs[-1], branches)[:, :, -1].float()


def _features(logits: Tensor, targets: Tensor, hidden: Tensor) -> AnswerFeatures:
    log_probs = torch.log_softmax(logits, dim=-1)
    return AnswerFeatures(
        log_probs=log_probs.gather(-1, targets[:, None])[:, 0].cpu().numpy(),
        entropies=-(log_probs.exp() * log_probs).sum(-1).cpu().numpy(),
        hidden=hidden.float().cpu().numpy(),
    )
