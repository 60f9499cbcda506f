"""Beam search over a shared prefix: the k beams of a question are k branches of one cached prompt.

Sequences and scores are those of transformers' `generate(num_beams=k, num_return_sequences=k, early_stopping=False,
length_penalty=…)`; the prompt is computed once instead of k times, and no key or value is ever reordered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from aspire_llm.errors import ModelError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.cache import BranchCache, Branches
from aspire_llm.lm.decoding.hypotheses import Decoded, Hypothesis
from aspire_llm.lm.read_states import NO_ROW, StateRecorder
from aspire_llm.lm.tokenization import EncodedPrompt

_NEVER = -1.0e9  # score of a hypothesis that does not exist
_NO_SLOT = -1  # of a token that no kept cache holds
FEW_ENOUGH = 3 / 4  # of the questions that are searched: where so few are open, going on without the others pays


@dataclass(frozen=True, slots=True)
class _Beams:
    """n hypotheses of each question: `[B, n, T]` of each token, `[B, n]` of each hypothesis."""

    tokens: Tensor
    log_probs: Tensor
    slots: Tensor
    rows: Tensor
    scores: Tensor
    lengths: Tensor
    terminated: Tensor

    def of_questions(self, questions: Tensor) -> "_Beams":
        return _Beams(*(getattr(self, field.name)[questions] for field in fields(self)))

    def select(self, indices: Tensor) -> "_Beams":
        return _Beams(*(_picked(getattr(self, field.name), indices) for field in fields(self)))

    def join(self, other: "_Beams") -> "_Beams":
        return _Beams(*(torch.cat([getattr(self, f.name), getattr(other, f.name)], dim=1) for f in fields(self)))


def beam_search(
    model: AdaptedModel,
    prompts: Sequence[EncodedPrompt],
    *,
    num_beams: int,
    max_new_tokens: int,
    length_penalty: float = 0.0,
    states: StateRecorder | None = None,
) -> Decoded:
    """The k hypotheses of every question with the highest summed log-probability / length ** length_penalty.

    Args:
        model: Decodes with θ + θp.
        prompts: B questions; each is decoded as if it were alone.
        num_beams: Beam width k = hypotheses returned per question, best first.
        max_new_tokens: T, terminator included.
        length_penalty: 0 ranks by the summed log-likelihood (the paper's argmax).
        states: Keeps hidden states of what is read; None keeps none.

    Raises:
        ModelError: The vocabulary has fewer than (1 + e) k tokens, where answers may end by e of them.
    """
    states = states or StateRecorder(model.backbone)
    with states.watching():
        return _searched(model, prompts, num_beams, max_new_tokens, length_penalty, states)


def _searched(
    model: AdaptedModel,
    prompts: Sequence[EncodedPrompt],
    num_beams: int,
    max_new_tokens: int,
    length_penalty: float,
    states: StateRecorder,
) -> Decoded:
    cache, prompt_branches, logits = model.read(prompts, room=num_beams * max_new_tokens)
    states.take_prompts(cache, prompt_branches, prompts)
    batch, vocabulary = logits.shape
    terminators = torch.tensor(model.terminators, device=logits.device)
    if vocabulary < (width := (1 + len(terminators)) * num_beams):
        raise ModelError(f"{num_beams} beams need a vocabulary of {width} tokens; the model's has {vocabulary}")
    running = _no_beams(batch, 1, max_new_tokens, logits.device)
    finished = _no_beams(batch, num_beams, max_new_tokens, logits.device)
    finished.scores.fill_(_NEVER)
    is_open = torch.ones(batch, 1, dtype=torch.bool, device=logits.device)
    search = _Search(cache, prompt_branches, torch.arange(batch, device=logits.device))
    settled: dict[int, list[Hypothesis]] = {}
    for step in range(max_new_tokens):
        candidates, parents = _continue(running, logits, step, width, terminators)
        ends = candidates.terminated | (step + 1 == max_new_tokens)
        finished = _settle(finished, candidates, ends, is_open, length_penalty)
        kept = (candidates.scores + ends * _NEVER).topk(num_beams).indices
        running = candidates.select(kept)
        search.branches = search.branches.select(parents.gather(1, kept))
        best_possible = running.scores[:, :1] / (step + 1) ** length_penalty
        is_open &= best_possible > finished.scores.min(dim=1, keepdim=True).values
        if step + 1 == max_new_tokens or not is_open.any():
            break
        if int(is_open.sum()) <= FEW_ENOUGH * len(search.questions):
            settled |= zip(search.questions.tolist(), _to_hypotheses(finished), strict=True)
            still = is_open[:, 0].nonzero()[:, 0]
            search.narrow(still, room=num_beams * (max_new_tokens - step))
            running, finished, is_open = running.of_questions(still), finished.of_questions(still), is_open[still]
        # Only the cache that is returned has slots worth remembering.
        slots = search.cache.num_slots + torch.arange(num_beams, device=logits.device)
        running.slots[:, :, step] = slots if search.cache is cache else _NO_SLOT
        before = search.branches
        logits, search.branches = model.step(search.cache, before, running.tokens[:, :, step])
        running.rows[:, :, step] = states.take_step(search.cache, before)
    settled |= zip(search.questions.tolist(), _to_hypotheses(finished), strict=True)
    return Decoded(cache, prompt_branches, [settled[question] for question in range(batch)])


@dataclass(slots=True)
class _Search:
    """What is still searched: the questions `[B']`, their branches, and the cache that holds them."""

    cache: BranchCache
    branches: Branches
    questions: Tensor

    def narrow(self, rows: Tensor, room: int) -> None:
        """Go on with some of the questions in a smaller cache: one copy, and no step pays for the others."""
        self.cache, self.branches = self.cache.select(rows, room), self.branches.of_questions(rows)
        self.questions = self.questions[rows]


def _picked(tensor: Tensor, indices: Tensor) -> Tensor:
    """Rows of each question of `[B, n]` or `[B, n, T]`, by indices `[B, m]`."""
    index = indices if tensor.ndim == 2 else indices[..., None].expand(-1, -1, tensor.shape[-1])
    return tensor.gather(1, index)


def _no_beams(batch: int, n: int, length: int, device: torch.device) -> _Beams:
    integers = torch.zeros(batch, n, length, dtype=torch.long, device=device)
    scores = torch.zeros(batch, n, device=device)
    return _Beams(
        tokens=integers,
        log_probs=torch.zeros(batch, n, length, device=device),
        slots=torch.full_like(integers, _NO_SLOT),
        rows=torch.full_like(integers, NO_ROW),
        scores=scores,
        lengths=scores.long(),
        terminated=scores.bool(),
    )


def _continue(running: _Beams, logits: Tensor, step: int, width: int, terminators: Tensor) -> tuple[_Beams, Tensor]:
    """The likeliest one-token continuations of a question's beams, and the beams they continue; logits are lost.

    Of (1 + e) k, at least k do not end by one of e terminators, so k beams can always go on.
    """
    batch, n = running.scores.shape
    logits = logits.view(batch, n, -1)
    # The best of all are among as many best ones of each beam; only their log-probabilities are needed.
    best, best_tokens = logits.topk(width, dim=-1)  # [B, n, width]
    highest = best[..., :1]  # taken off first, so that no digit is lost in large logits
    total = logits.sub_(highest).exp_().sum(-1, keepdim=True)  # in place: they are the largest tensor of a step
    log_probs = (best - highest) - total.log_()
    scores, indices = (log_probs + running.scores[..., None]).flatten(1).topk(width)
    parents = indices // best.shape[-1]
    tokens = best_tokens.flatten(1).gather(1, indices)
    candidates = running.select(parents)
    candidates.tokens[:, :, step] = tokens
    candidates.log_probs[:, :, step] = log_probs.flatten(1).gather(1, indices)
    lengths = torch.full_like(candidates.lengths, step + 1)
    return replace(candidates, scores=scores, lengths=lengths, terminated=torch.isin(tokens, terminators)), parents


def _settle(finished: _Beams, candidates: _Beams, ends: Tensor, is_open: Tensor, length_penalty: float) -> _Beams:
    """The best k of the finished hypotheses and of those among the top k candidates that end now."""
    num_beams = finished.scores.shape[1]
    in_top = torch.arange(candidates.scores.shape[1], device=ends.device) < num_beams
    scores = candidates.scores / candidates.lengths**length_penalty
    scores = scores.masked_fill(~(ends & in_top & is_open), _NEVER)
    merged = finished.join(replace(candidates, scores=scores))
    return merged.select(merged.scores.topk(num_beams).indices)


def _to_hypotheses(beams: _Beams) -> list[list[Hypothesis]]:
    tokens, log_probs = beams.tokens.tolist(), beams.log_probs.tolist()
    slots, rows = beams.slots.tolist(), beams.rows.tolist()
    lengths, terminated = beams.lengths.tolist(), beams.terminated.tolist()
    return [
        [
            Hypothesis(
                tuple(tokens[i][j][:length]),
                tuple(log_probs[i][j][:length]),
                terminated[i][j],
                tuple(slot for slot in slots[i][j][: length - 1] if slot != _NO_SLOT),
                tuple(own for own in rows[i][j][: length - 1] if own != NO_ROW),
            )
            for j, length in enumerate(row)
        ]
        for i, row in enumerate(lengths)
    ]
