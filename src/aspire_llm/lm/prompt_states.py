"""What a prompt looks like inside the model: one vector a question, taken while the prompt is read."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aspire_llm.lm.cache import BranchCache
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import EncodedPrompt


def watched_layer(backbone: Backbone) -> int:
    """The layer in the middle: the first layers know single tokens, the last ones what comes next.

    Never the last, which is left out where keys and values alone are wanted, except in a model of one layer.
    """
    return max(0, min(backbone.num_layers // 2, backbone.num_layers - 2))


def prompt_states(prompts: Sequence[EncodedPrompt], shared: int, before: Sequence[Tensor], rest: Tensor) -> Tensor:
    """The mean direction of the tokens of each prompt, those of few-shot examples left out, float32 `[B, d]`.

    Directions, because some tokens (the first, often) have states a thousand times as long as the others'.

    Args:
        prompts: B questions.
        shared: How many of their first tokens were read once for all.
        before: Outputs `[1, R, d]` of the layer in the pass that read those, the last ones of R; empty where they were
            known: then they are examples.
        rest: Outputs `[B, R, d]` in the pass that read the other tokens, with padding after the shorter prompts.
    """
    lengths = [len(prompt.token_ids) for prompt in prompts]
    longest = max(lengths)
    first = before[-1][:, -shared:].expand(len(prompts), -1, -1) if before and shared else rest[:, :0]
    known = torch.cat([first, rest[:, -(longest - shared) :]], dim=1).float()  # [B, T, d], from token `longest - T` on
    place = torch.arange(longest - known.shape[1], longest, device=known.device)
    begins = torch.tensor([prompt.num_example_tokens for prompt in prompts], device=known.device)[:, None]
    counts = (place >= begins) & (place < torch.tensor(lengths, device=known.device)[:, None])
    return (torch.nn.functional.normalize(known, dim=-1) * counts[..., None]).sum(1) / counts.sum(1, keepdim=True)


def states_of(cache: BranchCache) -> NDArray[np.float32]:
    """The states of the prompts that `AdaptedModel.read` read into a cache, `[B, d]`.

    Where the model does not show its layers, all states are the same, and nothing is novel.
    """
    if cache.prompt_states is None:
        return np.zeros((cache.batch_size, 1), dtype=np.float32)
    states: NDArray[np.float32] = cache.prompt_states.cpu().numpy()
    return states
