"""Hidden states of answers, by position: what a read-out of states looks at.

They are taken while decoding reads its tokens (`StateRecorder`), or while given answers are read (`answer_states`);
both give the same. A position is that of the last token read, the mean over the answer's tokens, or the last token of
the prompt; an answer of which nothing is read has that of the prompt everywhere.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

import torch
from torch import Tensor

from aspire_llm.lm.cache import BranchCache, Branches
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import EncodedPrompt

NO_ROW = -1  # of a token whose states are not kept


class Position(IntEnum):
    """Where a hidden state is taken."""

    LAST = 0
    MEAN = 1
    PROMPT = 2


def by_position(prompt: Tensor, tokens: Tensor) -> Tensor:
    """The states of an answer by `Position`, `[positions, layers, d]`.

    Args:
        prompt: Of the prompt's last token, `[layers, d]`.
        tokens: Of the answer's tokens as far as they are read, `[T, layers, d]`.
    """
    if not len(tokens):
        return prompt.expand(len(Position), -1, -1)
    return torch.stack([tokens[-1], tokens.mean(dim=0), prompt])


def prompt_ends(
    cache: BranchCache, root: Branches, outputs: Sequence[Tensor], prompts: Sequence[EncodedPrompt]
) -> Tensor:
    """What layers gave at the last token of each prompt in the pass that read it, `[B, layers, d]`.

    Args:
        cache: That the prompts were read into.
        root: Their branches.
        outputs: Of the layers, one after the other.
        prompts: B questions.
    """
    # Padding stands at the end, and what all prompts begin with may have been read in a pass of its own.
    longest = max(len(prompt.token_ids) for prompt in prompts)
    short = torch.tensor([longest - len(prompt.token_ids) for prompt in prompts])
    states = [cache.by_branch(output, root)[:, 0] for output in outputs]  # [B, R, d] each
    return torch.stack([own[torch.arange(len(prompts)), own.shape[1] - 1 - short] for own in states], dim=1)


class StateRecorder:
    """What some layers give at each token that is read within `watching`, one token a branch after the prompts.

    Args:
        backbone: The model.
        layers: Their numbers; without any, nothing is watched, and nothing costs time or memory.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[int] = ()) -> None:
        self._backbone, self._layers = backbone, sorted(layers)
        self._outputs: list[Tensor] = []
        self._kept: list[Tensor] = []  # [rows, layers, d] each; those of the prompts come first
        self._num_rows = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within, passes are watched."""
        with self._backbone.layer_outputs(only=self._layers) as self._outputs:
            yield

    def take_prompts(self, cache: BranchCache, root: Branches, prompts: Sequence[EncodedPrompt]) -> None:
        """Keep the states of the prompts that the last pass read, in as many rows."""
        if self._layers:
            self._keep(prompt_ends(cache, root, self._last_pass(), prompts))

    def take_step(self, cache: BranchCache, branches: Branches) -> Tensor:
        """Keep the states of the one token that the last pass read on each branch; their rows, `[B, n]`."""
        shape, device = branches.positions.shape, branches.positions.device
        if not self._layers:
            return torch.full(shape, NO_ROW, device=device)
        first = self._num_rows
        states = [cache.by_branch(output, branches)[:, :, 0] for output in self._last_pass()]
        self._keep(torch.stack(states, dim=2).flatten(0, 1))
        return torch.arange(first, self._num_rows, device=device).view(shape)

    def states(self, question: int, rows: Sequence[int]) -> Tensor:
        """The states of an answer, float32 `[positions, layers, d]`.

        Args:
            question: Its number among the prompts.
            rows: Of its tokens that were read.
        """
        if len(self._kept) > 1:
            self._kept = [torch.cat(self._kept)]
        return by_position(self._kept[0][question], self._kept[0][list(rows)]).float()

    def _keep(self, states: Tensor) -> None:
        self._kept.append(states)
        self._num_rows += len(states)

    def _last_pass(self) -> list[Tensor]:
        """What the layers gave in it; what they gave before is let go."""
        last = self._outputs[-len(self._layers) :]
        self._outputs.clear()
        return last
