"""P(z_c | x, ŷ): the model's own verdict on an answer, read from the cache that decoding left (paper §4.3)."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.cache import TokenGrid
from aspire_llm.lm.decoding.hypotheses import Decoded, Hypothesis
from aspire_llm.lm.kept_prefixes import Prefix
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import EncodedPrompt

AnswerReader: TypeAlias = Callable[[AdaptedModel, Sequence[EncodedPrompt], TokenGrid], Prefix]


def log_self_evaluation(
    logits: Float[Tensor, "*shape vocab"], verdict_tokens: tuple[int, int]
) -> Float[Tensor, "*shape"]:
    """log P(z_c) = logit z_c − log(exp(logit z_c) + exp(logit z_w)), over the verdict pair alone, in nats."""
    correct, wrong = logits[..., verdict_tokens[0]], logits[..., verdict_tokens[1]]
    return torch.nn.functional.logsigmoid(correct - wrong)


@torch.no_grad()
def evaluate_decoded(
    model: AdaptedModel, decoded: Decoded, chosen: Sequence[Hypothesis], verdict_tokens: tuple[int, int]
) -> Float[Tensor, " batch"]:
    """log P(z_c) of one decoded answer per question: the end of ŷ and θs on top of the decoding cache."""
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
