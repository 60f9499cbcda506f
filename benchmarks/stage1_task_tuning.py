"""Stage 1, an epoch of prompt tuning in batches of 8: `TrainingLoop` against `peft` and `Trainer`.

Same questions, same initial soft tokens, same optimiser; dropout off. Memory is the peak above the model, each side in
a process of its own, for one step. Prompt lengths count θp's 50 soft tokens.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PromptTuningConfig, get_peft_model
from torch import Tensor
from transformers import DataCollatorForSeq2Seq

from aspire_llm.config import TrainingConfig
from aspire_llm.lm.likelihood import answer_log_probs
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.training_loop import TrainingLoop
from benchmarks import memory, plain_pipeline
from benchmarks.measure import PEER_ONCE, Row, Settings, close, compare, say
from benchmarks.models import SOFT_TOKENS, Subject, prompts, subject, token_ids
from benchmarks.stage2_beam_search import UNEQUAL_PROMPTS

_CONFIG = TrainingConfig(num_soft_tokens=SOFT_TOKENS, epochs=1, batch_size=8, learning_rate=0.001)


@dataclass(frozen=True, slots=True)
class Case:
    """Positions of each prompt."""

    positions: Sequence[int] = 2 * UNEQUAL_PROMPTS

    def __str__(self) -> str:
        low, high = min(self.positions), max(self.positions)
        return f"{len(self.positions)} questions, prompt {low}–{high}, answers of 2–16 tokens, batches of 8"


def rows(settings: Settings) -> Iterator[Row]:
    """Time and memory on each model."""
    case = Case() if settings.full else Case(UNEQUAL_PROMPTS)
    yield from (row(name, case, PEER_ONCE) for name in settings.models)


def row(name: str, case: Case, rounds: int) -> Row:
    """Compare and measure one case."""
    say(f"  {name}: {case}")
    both = subject(name)
    _check_first_batch(both, case)
    times = compare(
        lambda: ours(both, case), lambda: peer(both, case), lambda *_: None, rounds=rounds, device=both.device
    )
    used = memory.both_sides(__name__, name, {"positions": list(case.positions)[:8]})
    return Row(
        "stage1_task_tuning",
        "peft prompt tuning + Trainer",
        f"{name}, {case}",
        times.ours_s,
        times.peer_s,
        target=2.0,
        memory=used,
        memory_target=4.0,
    )


def ours(both: Subject, case: Case) -> None:
    """An epoch of our loop; it also validates, on as little as there is."""
    examples = _examples(both, case.positions)
    validation = _examples(both, [SOFT_TOKENS + 2])
    with tempfile.TemporaryDirectory() as directory:
        loop = TrainingLoop(
            "stage 1",
            both.ours.task.parameters(),
            lambda batch: task_loss(both.ours, batch),
            lambda example: SOFT_TOKENS + len(example.prompt.token_ids) + len(example.target),
            _CONFIG,
            seed=0,
            checkpoint=Path(directory) / "checkpoint",
            log=lambda **_: None,
        )
        loop.fit(examples, validation)


def peer(both: Subject, case: Case) -> None:
    """An epoch of `Trainer`."""
    pairs = [(example.prompt.token_ids, example.target) for example in _examples(both, case.positions)]
    initial = both.ours.task.soft_tokens().detach()
    with tempfile.TemporaryDirectory() as directory:
        tokenizer = both.ours.backbone.tokenizer
        plain_pipeline.tune_task(both.plain, tokenizer, pairs, [], initial, _CONFIG, Path(directory))


def run_once(side: str, name: str, **case: Any) -> None:
    """One side of a case, for measuring memory."""
    (ours if side == "ours" else peer)(subject(name, both=side == "peer"), Case(**case))


def _examples(both: Subject, positions: Sequence[int]) -> list[TaskExample]:
    return [
        TaskExample(prompt, (*token_ids(both.plain, 1 + 2 * i % 15, 300 + i), both.terminator))
        for i, prompt in enumerate(prompts(both.plain, positions))
    ]


def _check_first_batch(both: Subject, case: Case) -> None:
    """Mean loss a token within 1e-4, its gradient within 1e-3 of the norm, before any step."""
    batch = _examples(both, case.positions[-2:])
    log_probs, _ = answer_log_probs(both.ours, [e.prompt for e in batch], [e.target for e in batch])
    loss = -log_probs.mean()
    gradient = torch.autograd.grad(loss, both.ours.task.parameters())[0]
    expected_loss, expected = _peft_loss(both, batch)
    close("loss", abs(float(loss.detach()) - expected_loss), 1e-4)
    close("gradient of θp, relative", float((gradient - expected).norm() / expected.norm()), 1e-3)


def _peft_loss(both: Subject, batch: Sequence[TaskExample]) -> tuple[float, Tensor]:
    tuned = get_peft_model(both.plain, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=SOFT_TOKENS))
    weight = tuned.prompt_encoder["default"].embedding.weight
    weight.data.copy_(both.ours.task.soft_tokens().detach())
    lines = plain_pipeline.training_lines([(example.prompt.token_ids, example.target) for example in batch])
    loss = tuned(**DataCollatorForSeq2Seq(both.ours.backbone.tokenizer, padding=True)(lines).to(both.device)).loss
    return float(loss.detach()), torch.autograd.grad(loss, [weight])[0]
