"""P(z_c | x, ŷ): the model's own verdict on an answer, read from the cache that decoding left (paper §4.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.hypotheses import Decoded, Hypothesis
from aspire_llm.lm.prefix_cache import Branches, PrefixCache
from aspire_llm.lm.tokenization import EncodedPrompt


def log_self_evaluation(logits: Tensor, verdict_tokens: tuple[int, int]) -> Tensor:
    """log P(z_c) = logit z_c − log(exp(logit z_c) + exp(logit z_w)), over the verdict pair alone; `[…, V]` to `[…]`."""
    correct, wrong = logits[..., verdict_tokens[0]], logits[..., verdict_tokens[1]]
    return torch.nn.functional.logsigmoid(correct - wrong)


@torch.no_grad()
def evaluate_decoded(
    model: AdaptedModel, decoded: Decoded, chosen: Sequence[Hypothesis], verdict_tokens: tuple[int, int]
) -> Tensor:
    """log P(z_c) of one decoded answer a question, `[B]`: l positions a question on top of the decoding cache."""
    branches, unread = decoded.branches_of(chosen)
    branches = model.extend_by_tokens(decoded.cache, branches, [[ids] for ids in unread])
    return log_self_evaluation(model.verdict_logits(decoded.cache, branches), verdict_tokens)[:, 0]


def read_answers(
    model: AdaptedModel, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[Sequence[int]]]
) -> tuple[PrefixCache, Branches]:
    """Read `[θp] [x]` once and every given answer on top as a branch, without gradient.

    Returns:
        The cache and n branches a question, n the most answers of any; branches beyond a question's own are empty.
    """
    n = max(len(own) for own in answers)
    cache, branches, _ = model.read(prompts)
    everyone = torch.zeros(len(prompts), n, dtype=torch.long, device=model.backbone.device)
    return cache, model.extend_by_tokens(cache, branches.select(everyone), answers)
