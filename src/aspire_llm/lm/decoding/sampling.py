"""Temperature sampling over a shared prefix: stage 2's other decoder."""

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.decoding.hypotheses import Decoded, Hypothesis
from aspire_llm.lm.tokenization import EncodedPrompt


def sample_answers(
    model: AdaptedModel,
    prompts: Sequence[EncodedPrompt],
    *,
    num_samples: int,
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> Decoded:
    """Draw answers independently; the m answers of a question are branches of one cached prompt.

    Args:
        model: Decodes with θ + θp.
        prompts: B questions.
        num_samples: m, answers per question; likeliest first, repeats kept.
        max_new_tokens: T, terminator included.
        temperature: Divides the logits before the softmax that is drawn from. The log-probabilities returned are
            the model's own, at temperature 1.
        seed: Of the draws. What is drawn for a question follows from the seed and its id, whatever it shares a batch
            with.
    """
    cache, prompt_branches, logits = model.read(prompts, room=num_samples * max_new_tokens)
    batch, device = len(prompts), logits.device
    uniform = _uniform(prompts, num_samples, max_new_tokens, seed).to(device)
    everyone = torch.zeros(batch, num_samples, dtype=torch.long, device=device)
    branches = prompt_branches.select(everyone)
    logits = logits[:, None].expand(-1, num_samples, -1)
    tokens: list[Tensor] = []
    log_probs: list[Tensor] = []
    first_slots: list[int] = []
    ended = torch.zeros_like(everyone, dtype=torch.bool)
    terminators = torch.tensor(model.terminators, device=device)
    for step in range(max_new_tokens):
        drawn = _drawn(torch.softmax(logits / temperature, dim=-1), uniform[..., step])
        tokens.append(drawn)
        log_probs.append(torch.log_softmax(logits, dim=-1).gather(-1, drawn[..., None])[..., 0])
        ended = ended | torch.isin(drawn, terminators)
        if step + 1 == max_new_tokens or ended.all():
            break
        first_slots.append(cache.num_slots)
        logits, branches = model.step(cache, branches, drawn)
    ids, scores = torch.stack(tokens, dim=-1).tolist(), torch.stack(log_probs, dim=-1).tolist()
    hypotheses = [
        [_cut(ids[i][j], scores[i][j], j, first_slots, model.terminators) for j in range(num_samples)]
        for i in range(batch)
    ]
    for answers in hypotheses:
        answers.sort(key=lambda hypothesis: -sum(hypothesis.token_log_probs))
    return Decoded(cache, prompt_branches, hypotheses)


def _uniform(prompts: Sequence[EncodedPrompt], num_samples: int, steps: int, seed: int) -> Tensor:
    """A number from 0 to 1 for each draw, float64 `[B, m, T]`."""
    generators = [
        torch.Generator().manual_seed(zlib.crc32(f"{seed} {prompt.question.id}".encode())) for prompt in prompts
    ]
    shape = (num_samples, steps)
    return torch.stack([torch.rand(shape, dtype=torch.float64, generator=own) for own in generators])


def _drawn(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The token in whose share of `[0, 1]` a number falls: `[B, m, V]` and `[B, m]` to `[B, m]`."""
    shares = probabilities.double().cumsum(-1)  # in float32, the shares of rare tokens would be lost
    places = (uniform * shares[..., -1])[..., None]
    return torch.searchsorted(shares, places, right=True)[..., 0].clamp(max=shares.shape[-1] - 1)


def _cut(
    ids: list[int], scores: list[float], branch: int, first_slots: list[int], terminators: tuple[int, ...]
) -> Hypothesis:
    """A drawn sequence up to its first terminator."""
    length = next((i + 1 for i, token in enumerate(ids) if token in terminators), len(ids))
    terminated = ids[length - 1] in terminators
    slots = tuple(first + branch for first in first_slots[: length - 1])
    return Hypothesis(tuple(ids[:length]), tuple(scores[:length]), terminated, slots)
