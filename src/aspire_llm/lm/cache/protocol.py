"""What a cache of read tokens offers, whatever it stores; and the branches that say who continues what.

A row of a cache is a question. Its *slots* hold the soft prompt and the prompt, then the tokens of every continuation
(beams, sampled answers, verdict prompts) side by side. A `Branches` says for n continuations of each question which
slots they see and at which position they go on.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aspire_llm.lm.cache.token_tree import TokenTree
from aspire_llm.lm.masks import own_slots
from aspire_llm.lm.model import Backbone


@dataclass(frozen=True, slots=True)
class Branches:
    """n continuations of each of B questions.

    Attributes:
        sees: Slots that the next token of each branch attends to, boolean `[B, n, L]`.
        positions: Position of the next token of each branch, `[B, n]`.
    """

    sees: Tensor
    positions: Tensor

    def select(self, indices: Tensor) -> "Branches":
        """The branches `[B, m]` of each question, in that order (repeats allowed)."""
        sees = self.sees.gather(1, indices[..., None].expand(-1, -1, self.sees.shape[-1]))
        return Branches(sees, self.positions.gather(1, indices))

    def of_questions(self, questions: Tensor) -> "Branches":
        """The branches of some questions, `[B']` row indices."""
        return Branches(self.sees[questions], self.positions[questions])

    def over(self, num_slots: int) -> Tensor:
        """`sees` over all slots of a cache: those added since belong to other branches."""
        return widened(self.sees, num_slots)

    def after(self, valid: Tensor, num_slots: int) -> "Branches":
        """Each branch after its new tokens, boolean `[B, n, A]`, which get the slots from `num_slots` on."""
        sees = torch.cat([self.over(num_slots), own_slots(valid)], dim=-1)
        return Branches(sees, self.positions + valid.sum(-1))

    def after_tree(self, tree: TokenTree, num_slots: int) -> "Branches":
        """One branch per question after each sequence of a tree, whose rows get the slots from `num_slots` on."""
        sees = self.over(num_slots).expand(-1, tree.paths.shape[1], -1)
        return Branches(torch.cat([sees, tree.paths], dim=-1), self.positions + tree.paths.sum(-1))


def widened(sees: Tensor, num_slots: int) -> Tensor:
    """What is seen, boolean `[B, n, L]`, over further slots, none of which is."""
    return nn.functional.pad(sees, (0, num_slots - sees.shape[-1]))


class BranchCache(ABC):
    """The slots of B questions.

    Args:
        backbone: The model that reads them.
        batch_size: B.

    Attributes:
        num_slots: How many slots each question has so far.
        prompt_states: What the prompts look like inside the model, float32 `[B, d]`, where `AdaptedModel.read` read
            them (`lm/prompt_states.py`).
    """

    prompt_states: Tensor | None = None

    def __init__(self, backbone: Backbone, batch_size: int) -> None:
        self.backbone, self.batch_size, self.num_slots = backbone, batch_size, 0

    def root(self) -> Branches:
        """One branch per question that has seen nothing yet."""
        device = self.backbone.device
        return Branches(
            torch.zeros(self.batch_size, 1, 0, dtype=torch.bool, device=device),
            torch.zeros(self.batch_size, 1, dtype=torch.long, device=device),
        )

    @abstractmethod
    def extend(
        self, branches: Branches, embeddings: Tensor, valid: Tensor, logits_at: Tensor | None
    ) -> tuple[Tensor, Branches]:
        """Continue every branch by A tokens in one pass and keep what was read; no gradient.

        The first pass reads prompts, one branch per question: every later branch continues its question's prompt.

        Args:
            branches: n branches of each question.
            embeddings: `[B, n, A, d]`.
            valid: False at padding, which stands right of the tokens, boolean `[B, n, A]`.
            logits_at: Tokens whose next-token logits are wanted, boolean `[B, n, A]`; None where none are.

        Returns:
            float32 logits `[number of True in logits_at, V]` in row-major order, and the branches after the tokens.
        """

    @abstractmethod
    def extend_by_tree(self, branches: Branches, embeddings: Tensor, tree: TokenTree) -> Branches:
        """Continue one branch per question by n sequences that share what they begin with; no logits, no gradient.

        Args:
            branches: One per question.
            embeddings: Of the tree's tokens, `[B, R, d]`.
            tree: The sequences.

        Returns:
            n branches per question, each after its sequence.
        """

    @abstractmethod
    def prompts_end(self) -> None:
        """All slots so far are the prompts': where reading them took several passes, and there are no branches yet."""

    @abstractmethod
    def look_ahead(self, branches: Branches, embeddings: Tensor, valid: Tensor, logits_at: Tensor) -> Tensor:
        """The logits that `extend` would return, with nothing kept.

        Differentiable with respect to `embeddings` and to any active adapter; what the cache holds is constant.
        """

    @abstractmethod
    def select(self, questions: Tensor, room: int = 0) -> "BranchCache":
        """A cache that holds some of the questions.

        Args:
            questions: Row indices `[B']`, in that order (repeats allowed).
            room: Slots to allocate beyond those that are used.
        """

    @abstractmethod
    def by_branch(self, output: Tensor, branches: Branches) -> Tensor:
        """What a layer gave in the last pass on n branches, at the A new tokens of each: `[B, n, A, d]`."""

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Memory that the slots take."""
