"""What is read once: prefixes that many prompts, batches or epochs continue.

Whether a prefix is kept decides how long a pass takes, never what it computes: the same tokens are read in the same
passes either way, so that a resumed run computes what an uninterrupted one does.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from aspire_llm.lm.cache import BranchCache, Branches, TokenGrid
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import EncodedPrompt

Prefix: TypeAlias = tuple[BranchCache, Branches]

_WORTH_A_PASS = 32  # first tokens that several prompts share


@runtime_checkable
class ReadsAnswers(Protocol):
    """What `AdaptedModel` offers to `KeptPrefixes`."""

    def read_answers(self, prompts: Sequence[EncodedPrompt], answers: TokenGrid) -> Prefix:
        """Read prompts and every given answer on top as a branch, without gradient."""


class KeptPrefixes:
    """Prefixes by what they hold, as far as they fit into memory; of one model, whose adapters no longer learn.

    Args:
        backbone: The model.
        budget: Bytes that the kept prefixes may take; whatever is beyond is read anew each time. None: half of the
            memory that is free.
    """

    def __init__(self, backbone: Backbone, budget: int | None = None) -> None:
        self._left = backbone.free_memory() // 2 if budget is None else budget
        self._kept: dict[Hashable, Prefix] = {}

    @property
    def num_bytes(self) -> int:
        """Of what is kept."""
        return sum(cache.num_bytes for cache, _ in self._kept.values())

    def once(self, tokens: Hashable, read: Callable[[], Prefix]) -> Prefix:
        """What `read` returns, or returned before for the same tokens.

        Args:
            tokens: All that the prefix depends on.
            read: Reads it.
        """
        if tokens in self._kept:
            return self._kept[tokens]
        prefix = read()
        if prefix[0].num_bytes <= self._left:
            self._left -= prefix[0].num_bytes
            self._kept[tokens] = prefix
        return prefix

    def give_up(self) -> bool:
        """Keep nothing from here on; whether anything was kept."""
        kept = bool(self._kept)
        self._kept.clear()
        self._left = 0
        return kept

    def read(self, model: ReadsAnswers, prompts: Sequence[EncodedPrompt], answers: TokenGrid) -> Prefix:
        """Read prompts with their answers once for all epochs.

        Args:
            model: Always the same θ + θp.
            prompts: B questions.
            answers: Token ids of the answers to each.

        Returns:
            What `AdaptedModel.read_answers` does.
        """
        tokens = tuple((prompt.token_ids, tuple(map(tuple, own))) for prompt, own in zip(prompts, answers, strict=True))
        return self.once(tokens, lambda: model.read_answers(prompts, answers))


def num_shared(prompts: Sequence[EncodedPrompt]) -> int:
    """How many first tokens of a batch to read once for all of its prompts; 0 where it is not worth a pass.

    Depends on the prompts alone, not on what was read before.
    """
    batch, first = len(prompts), prompts[0].token_ids
    most = min(len(prompt.token_ids) for prompt in prompts) - 1  # the last token's logits are wanted of each
    differs = (i for i in range(most) if any(prompt.token_ids[i] != first[i] for prompt in prompts))
    common = next(differs, most)
    # The examples are read once, which saves all prompts some positions; all that is common, once per batch.
    examples = min(common, *(prompt.num_example_tokens for prompt in prompts))
    length = examples if batch * examples >= (batch - 1) * common else common
    return length if length >= _WORTH_A_PASS else 0
