"""What a cache of read tokens offers, whatever it stores; and the branches that say who continues what.

A row of a cache is a question. Its *slots* hold the soft prompt and the prompt, then the tokens of every continuation
(beams, sampled answers, verdict prompts) side by side. A `Branches` says for n continuations of each question which
slots they see and at which position they go on.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from aspire_llm.lm.cache.token_tree import TokenTree
from aspire_llm.lm.masks import own_slots
from aspire_llm.lm.model import Backbone

# Of the A new tokens of n branches for each of B questions.
Embeddings: TypeAlias = Float[Tensor, "batch branches new dim"]
Flags: TypeAlias = Bool[Tensor, "batch branches new"]
Logits: TypeAlias = Float[Tensor, "wanted vocab"]


@dataclass(frozen=True, slots=True)
class Branches:
    """n continuations of each of B questions.

    Attributes:
        sees: Slots that the next token of each branch attends to.
        positions: Position of the next token of each branch.
    """

    sees: Bool[Tensor, "batch branches slots"]
    positions: Int[Tensor, "batch branches"]

    def select(self, indices: Int[Tensor, "batch chosen"]) -> "Branches":
        """Some branches of each question, in that order (repeats allowed)."""
        sees = self.sees.gather(1, indices[..., None].expand(-1, -1, self.sees.shape[-1]))
        return Branches(sees, self.positions.gather(1, indices))

    def of_questions(self, questions: Int[Tensor, " questions"]) -> "Branches":
        """The branches of some questions, by their rows."""
        return Branches(self.sees[questions], self.positions[questions])

    def over(self, num_slots: int) -> Bool[Tensor, "batch branches slots"]:
        """`sees` over all slots of a cache: those added since belong to other branches."""
        return widened(self.sees, num_slots)

    def after(self, valid: Flags, num_slots: int) -> "Branches":
        """Each branch after its new tokens, padding left out, which get the slots from `num_slots` on."""
        sees = torch.cat([self.over(num_slots), own_slots(valid)], dim=-1)
        return Branches(sees, self.positions + valid.sum(-1))

    def after_tree(self, tree: TokenTree, num_slots: int) -> "Branches":
        """One branch per question after each sequence of a tree, whose rows get the slots from `num_slots` on."""
        sees = self.over(num_slots).expand(-1, tree.paths.shape[1], -1)
        return Branches(torch.cat([sees, tree.paths], dim=-1), self.positions + tree.paths.sum(-1))


def widened(sees: Bool[Tensor, "batch branches slots"], num_slots: int) -> Bool[Tensor, "batch branches all_slots"]:
    """What is seen, over further slots, none of which is."""
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
        self, branches: Branches, embeddings: Embeddings, valid: Flags, logits_at: Flags | None
    ) -> tuple[Logits, Branches]:
        """Continue every branch by A tokens in one pass and keep what was read; no gradient.

        The first pass reads prompts, one branch per question: every later branch continues its question's prompt.

        Args:
            branches: n branches of each question.
            embeddings: Of the new tokens.
            valid: False at padding, which stands right of the tokens.
            logits_at: Tokens whose next-token logits are wanted; None where none are.

        Returns:
            float32 logits, a row for each True in `logits_at`, and the branches after the tokens.
        """

    @abstractmethod
    def extend_by_tree(
        self, branches: Branches, embeddings: Float[Tensor, "batch rows dim"], tree: TokenTree
    ) -> Branches:
        """Continue one branch per question by n sequences that share what they begin with; no logits, no gradient.

        Args:
            branches: One per question.
            embeddings: Of the tree's tokens.
            tree: The sequences.

        Returns:
            n branches per question, each after its sequence.
        """

    @abstractmethod
    def prompts_end(self) -> None:
        """All slots so far are the prompts': where reading them took several passes, and there are no branches yet."""

    @abstractmethod
    def look_ahead(self, branches: Branches, embeddings: Embeddings, valid: Flags, logits_at: Flags) -> Logits:
        """The logits that `extend` would return, with nothing kept.

        Differentiable with respect to `embeddings` and to any active adapter; what the cache holds is constant.
        """

    @abstractmethod
    def select(self, questions: Int[Tensor, " questions"], room: int = 0) -> "BranchCache":
        """A cache that holds some of the questions.

        Args:
            questions: Their rows, in that order (repeats allowed).
            room: Slots to allocate beyond those that are used.
        """

    @abstractmethod
    def by_branch(self, output: Float[Tensor, "sequences rows dim"], branches: Branches) -> Embeddings:
        """What a layer gave in the last pass on n branches, at the A new tokens of each."""

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Memory that the slots take."""
