"""P(z_c | x, ŷ): the model's own verdict on an answer, read from the cache that decoding left (paper §4.3)."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from aspire_llm.lm.adapted_model import AdaptedModel, TokenGrid
from aspire_llm.lm.cache.prefix import Branches, PrefixCache
from aspire_llm.lm.decoding.hypotheses import Decoded, Hypothesis
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import EncodedPrompt

AnswerReader: TypeAlias = Callable[[AdaptedModel, Sequence[EncodedPrompt], TokenGrid], tuple[PrefixCache, Branches]]


def log_self_evaluation(logits: Tensor, verdict_tokens: tuple[int, int]) -> Tensor:
    """log P(z_c) = logit z_c − log(exp(logit z_c) + exp(logit z_w)), over the verdict pair alone; `[…, V]` to `[…]`."""
    correct, wrong = logits[..., verdict_tokens[0]], logits[..., verdict_tokens[1]]
    return torch.nn.functional.logsigmoid(correct - wrong)


@torch.no_grad()
def evaluate_decoded(
    model: AdaptedModel, decoded: Decoded, chosen: Sequence[Hypothesis], verdict_tokens: tuple[int, int]
) -> Tensor:
    """log P(z_c) of one decoded answer a question, `[B]`: the end of ŷ and θs on top of the decoding cache."""
    branches, unread = decoded.branches_of(chosen)
    return log_self_evaluation(model.verdict_logits(decoded.cache, branches, unread), verdict_tokens)[:, 0]


def num_positions(
    backbone: Backbone, prompt: EncodedPrompt, answers: Sequence[Sequence[int]], soft_tokens: tuple[int, int]
) -> int:
    """Positions that a question's answers take, each with θs after it: the prompt once, or before every answer.

    Args:
        backbone: The model.
        prompt: Of the question.
        answers: Token ids.
        soft_tokens: Of θp and of θs.
    """
    prompts = 1 if backbone.shares_prefixes else len(answers)
    task, verdict = soft_tokens
    return prompts * (task + len(prompt.token_ids)) + sum(len(ids) + verdict for ids in answers)


class KeptPrefixes:
    """`AdaptedModel.read_answers` that remembers: stage 3 reads the same prefixes in every epoch.

    Args:
        budget: Bytes that the kept caches may take; whatever is beyond is read anew each time. None: half of the memory
            that is free.
    """

    def __init__(self, backbone: Backbone, budget: int | None = None) -> None:
        self._left = backbone.free_memory() // 2 if budget is None else budget
        self._kept: dict[Hashable, tuple[PrefixCache, Branches]] = {}

    def read(
        self, model: AdaptedModel, prompts: Sequence[EncodedPrompt], answers: TokenGrid
    ) -> tuple[PrefixCache, Branches]:
        """As `AdaptedModel.read_answers`; always with the same model."""
        key = tuple((prompt.token_ids, tuple(map(tuple, own))) for prompt, own in zip(prompts, answers, strict=True))
        if key in self._kept:
            return self._kept[key]
        result = model.read_answers(prompts, answers)
        if result[0].num_bytes <= self._left:
            self._left -= result[0].num_bytes
            self._kept[key] = result
        return result
