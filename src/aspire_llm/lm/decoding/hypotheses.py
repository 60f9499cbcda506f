"""What every decoder returns: generated sequences, and the cache that still holds their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from aspire_llm.lm.cache import BranchCache, Branches


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One generated sequence.

    Attributes:
        token_ids: Generated tokens, the terminator included where there is one.
        token_log_probs: Their log-probabilities in nats, given all before.
        terminated: Whether the last token is the terminator; else the token limit ended the sequence.
        slots: Where the tokens stand in the returned cache, as far as it holds them: at least the last one was never
            fed.
        rows: Of the states of the tokens that were read, in the recorder that watched; empty where none did.
    """

    token_ids: tuple[int, ...]
    token_log_probs: tuple[float, ...]
    terminated: bool
    slots: tuple[int, ...]
    rows: tuple[int, ...] = ()

    @property
    def answer_ids(self) -> tuple[int, ...]:
        """The tokens without the terminator."""
        return self.token_ids[:-1] if self.terminated else self.token_ids


@dataclass(frozen=True, slots=True)
class Decoded:
    """What decoding B questions leaves behind: hypotheses (best first) and the cache that holds their tokens."""

    cache: BranchCache
    prompts: Branches
    hypotheses: list[list[Hypothesis]]

    def branches_of(self, chosen: Sequence[Hypothesis]) -> tuple[Branches, list[tuple[int, ...]]]:
        """The branches that have read one hypothesis per question, and the answer tokens that they lack."""
        sees = self.prompts.over(self.cache.num_slots).clone()
        positions = self.prompts.positions.clone()
        for row, hypothesis in enumerate(chosen):
            sees[row, 0, list(hypothesis.slots)] = True
            positions[row, 0] += len(hypothesis.slots)
        return Branches(sees, positions), [h.answer_ids[len(h.slots) :] for h in chosen]
