"""Teacher-forced log-probabilities of given answers: stage 1's loss, and the reference that beam scores must equal."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.prefix_cache import PrefixCache
from aspire_llm.lm.tokenization import EncodedPrompt


def answer_log_probs(
    model: AdaptedModel, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """log f(y_j | θp, x, y_<j) of one answer a question, in nats; differentiable with respect to θp.

    One pass over `[padding] [θp] [x] [y]`; logits are computed where an answer token is predicted, nowhere else.

    Args:
        model: θ + θp.
        prompts: B questions.
        answers: Their answers' token ids, terminator included where it counts; none is empty.

    Returns:
        Log-probabilities of all answer tokens, `[sum |y|]`, and the question that each belongs to, `[sum |y|]`.
    """
    prompt_embeddings, prompt_valid = model.embed_prompts(prompts)
    token_ids, valid = model.token_grid([[answer] for answer in answers])  # [B, 1, A]
    answer_embeddings = model.backbone.embed(token_ids).to(prompt_embeddings.dtype)
    # The last prompt token predicts the first answer token; the last answer token predicts nothing.
    predicts = torch.cat([torch.zeros_like(prompt_valid)[..., 1:], valid, torch.zeros_like(valid)[..., :1]], dim=-1)
    cache = PrefixCache(model.backbone, len(prompts))
    with model.task.active():
        logits = cache.look_ahead(
            cache.root(),
            torch.cat([prompt_embeddings, answer_embeddings], dim=2),
            torch.cat([prompt_valid, valid], dim=-1),
            predicts,
        )
    log_probs = torch.log_softmax(logits, dim=-1).gather(-1, token_ids[valid][:, None])[:, 0]
    questions = torch.arange(len(prompts), device=valid.device)[:, None, None].expand_as(valid)
    return log_probs, questions[valid]


def mean_per_answer(log_probs: Tensor, questions: Tensor, num_questions: int) -> Tensor:
    """(1/|y|) Σ_j log f(y_j | ·) of every question, `[B]`, from the output of `answer_log_probs`."""
    sums = torch.zeros(num_questions, device=log_probs.device).index_add(0, questions, log_probs)
    return sums / torch.bincount(questions, minlength=num_questions)
