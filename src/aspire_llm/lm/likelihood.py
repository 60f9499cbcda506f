"""Teacher-forced log-probabilities of given answers: stage 1's loss, and the reference that beam scores must equal."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.cache import new_cache
from aspire_llm.lm.tokenization import EncodedPrompt


def answer_log_probs(
    model: AdaptedModel, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[int]]
) -> tuple[Float[Tensor, " tokens"], Int[Tensor, " tokens"]]:
    """log f(y_j | θp, x, y_<j) of one answer per question, in nats; differentiable with respect to θp.

    One pass over `[θp] [x] [y] [padding]`; logits are computed where an answer token is predicted, nowhere else.

    Args:
        model: θ + θp.
        prompts: B questions.
        answers: Their answers' token ids, terminator included where it counts; none is empty.

    Returns:
        Log-probabilities of all answer tokens, one question after another, and the question that each belongs to.
    """
    sequences = [(*prompt.token_ids, *answer) for prompt, answer in zip(prompts, answers, strict=True)]
    embeddings, valid = model.embed_sequences(sequences)
    ends = valid.sum(-1, keepdim=True)  # [B, 1, 1]
    lengths = torch.tensor([len(answer) for answer in answers], device=valid.device)
    index = torch.arange(valid.shape[-1], device=valid.device)
    # The last prompt token predicts the first answer token; the last answer token predicts nothing.
    predicts = (index >= ends - lengths[:, None, None] - 1) & (index < ends - 1)
    cache = new_cache(model.backbone, len(prompts))
    with model.task.active():
        logits = cache.look_ahead(cache.root(), embeddings, valid, predicts)
    targets = torch.tensor([token for answer in answers for token in answer], device=valid.device)
    log_probs = torch.log_softmax(logits, dim=-1).gather(-1, targets[:, None])[:, 0]
    return log_probs, torch.arange(len(prompts), device=valid.device).repeat_interleave(lengths)


def mean_per_answer(
    log_probs: Float[Tensor, " tokens"], questions: Int[Tensor, " tokens"], num_questions: int
) -> Float[Tensor, " {num_questions}"]:
    """(1/|y|) Σ_j log f(y_j | ·) of every question, from the output of `answer_log_probs`."""
    sums = torch.zeros(num_questions, device=log_probs.device).index_add(0, questions, log_probs)
    return sums / torch.bincount(questions, minlength=num_questions)
