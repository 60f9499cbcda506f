"""Stage 3, one question with its k+1 answers, loss and gradient of θs: `verdict_loss` against one plain batch.

The peer is one forward and backward pass over all `[θp] [x] [ŷ] [θs]` as a batch, with the last position's logits
alone. Memory is the peak above the model, each side in a process of its own. Prompt lengths count θp's 50 soft tokens.
Gradients of a model with ReLU are compared where few of its units are within rounding of 0, at which ReLU's derivative
jumps (see docs/experiments.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss
from benchmarks import machine, memory
from benchmarks.measure import PEER_ONCE, Row, Settings, close, compare, say
from benchmarks.models import SOFT_TOKENS, Subject, left_padded, prompts, subject, token_ids

# The reference, and ten answers of up to 16 tokens that are not it.
ANSWER_LENGTHS = (3, 2, 3, 4, 4, 5, 6, 8, 10, 13, 16)


@dataclass(frozen=True, slots=True)
class Case:
    """Positions of the prompt, and tokens of each answer; the first answer is the correct one."""

    positions: int = 650
    answers: Sequence[int] = ANSWER_LENGTHS

    def __str__(self) -> str:
        return f"prompt {self.positions}, {len(self.answers)} answers of {min(self.answers)}–{max(self.answers)} tokens"


def rows(settings: Settings) -> Iterator[Row]:
    """Time and memory on each model."""
    yield from (row(name, Case(), PEER_ONCE, with_memory=True) for name in settings.models)


def row(name: str, case: Case, rounds: int, *, with_memory: bool) -> Row:
    """Compare and measure one case."""
    say(f"  {name}: {case}")
    both = subject(name)
    times = compare(lambda: ours(both, case), lambda: peer(both, case), check, rounds=rounds, device=both.device)
    floor = machine.verdict_step_seconds(
        machine.size(both.plain), times.limits, case.positions, case.answers, soft_tokens=SOFT_TOKENS
    )
    arguments = {"positions": case.positions, "answers": list(case.answers)}
    used = memory.both_sides(__name__, name, arguments) if with_memory else None
    return Row(
        "stage3_self_evaluation",
        "full forward and backward",
        f"{name}, {case}",
        times.ours_s,
        times.peer_s,
        target=10.0,
        floor_s=floor,
        limit_target=0.75,
        memory=used,
        memory_target=8.0,
    )


def ours(both: Subject, case: Case) -> tuple[float, Tensor]:
    """Loss and gradient of θs with the prefix read once."""
    prompt, answers = _question(both, case)
    example = VerdictExample(prompt, correct=answers[:1], wrong=answers[1:])
    return _with_gradient(both, verdict_loss(both.ours, both.verdict_tokens, [example])[0])


def peer(both: Subject, case: Case) -> tuple[float, Tensor]:
    """The same written plainly."""
    prompt, answers = _question(both, case)
    embeddings, mask, positions = left_padded([both.sequence(prompt, answer, verdict=True) for answer in answers])
    output = both.plain(
        inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1
    )
    log_probs = torch.log_softmax(output.logits[:, -1].float(), dim=-1)
    correct, wrong = both.verdict_tokens
    return _with_gradient(both, -log_probs[:1, correct].mean() - log_probs[1:, wrong].mean())


def check(ours: tuple[float, Tensor], theirs: tuple[float, Tensor]) -> None:
    """Losses within 1e-4, gradients within 1e-3 of their norm."""
    close("loss", abs(ours[0] - theirs[0]), 1e-4)
    close("gradient of θs, relative", float((ours[1] - theirs[1]).norm() / theirs[1].norm()), 1e-3)


def run_once(side: str, name: str, **case: Any) -> None:
    """One side of a case, for measuring memory."""
    (ours if side == "ours" else peer)(subject(name, both=side == "peer"), Case(**case))


def _question(both: Subject, case: Case) -> tuple[Any, tuple[tuple[int, ...], ...]]:
    answers = tuple(token_ids(both.plain, length, 200 + i) for i, length in enumerate(case.answers))
    return prompts(both.plain, [case.positions])[0], answers


def _with_gradient(both: Subject, loss: Tensor) -> tuple[float, Tensor]:
    parameters = both.ours.self_evaluation.parameters()
    return float(loss.detach()), torch.autograd.grad(loss, parameters)[0]
