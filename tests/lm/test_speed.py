"""The two speeds give the same, and the plain one is the model as transformers computes it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import torch
from conftest import ARCHITECTURES, tiny_model
from reference import adapted, prompts_of
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

from aspire_llm.lm import cpu
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model import Backbone, Speed
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss

PAIR = (7, 11)
TEXTS = ["Where?", "Where was the old piano built, and is it correct that it was never played?", "Who built it?"]
CONTEXT = "The old piano was built in a small town by the sea, long before the war."


def everything(backbone: Backbone) -> tuple[list[tuple[int, ...]], list[Tensor]]:
    """The answers, then their log-probabilities, verdicts, and losses and gradients of stages 1 and 3."""
    model, prompts = adapted(backbone), prompts_of(backbone, TEXTS, CONTEXT)
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=8)
    hypotheses = [h for own in decoded.hypotheses for h in own]
    verdicts = evaluate_decoded(model, decoded, [own[0] for own in decoded.hypotheses], PAIR)
    task = task_loss(model, [TaskExample(prompt, (5, 6, 0)) for prompt in prompts])
    verdict = verdict_loss(model, PAIR, [VerdictExample(prompts[1], ((5, 6),), ((5, 8, 9), ()))])
    gradients = (
        torch.autograd.grad(loss.sum(), adapter.parameters())[0]
        for loss, adapter in ((task, model.task), (verdict, model.self_evaluation))
    )
    log_probs = torch.tensor([log_prob for h in hypotheses for log_prob in h.token_log_probs])
    return [h.token_ids for h in hypotheses], [log_probs, verdicts, task.detach(), verdict.detach(), *gradients]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_give_the_same(architecture: str, tokenizer: PreTrainedTokenizerFast) -> None:
    fast, plain = (
        everything(Backbone(tiny_model(architecture, len(tokenizer)), tokenizer, speed=speed))
        for speed in ("fast", "plain")
    )
    assert fast[0] == plain[0]
    for ours, expected in zip(fast[1], plain[1], strict=True):
        assert (ours - expected).norm() <= 1e-4 * expected.norm()


@contextmanager
def calls_into(folder: Path) -> Iterator[set[str]]:
    """The functions of a folder's modules that are called within."""
    called: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and Path(frame.f_code.co_filename).is_relative_to(folder):
            called.add(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(("speed", "uses"), [("fast", True), ("plain", False)])
def test_plain_uses_nothing_of_what_is_fast(speed: Speed, uses: bool, tokenizer: PreTrainedTokenizerFast) -> None:
    with calls_into(Path(cpu.__file__).parent) as called:
        backbone = Backbone(tiny_model("gpt2", len(tokenizer)), tokenizer, speed=speed)
        everything(backbone)
    assert bool(called) == uses
    kinds = {type(module) for module in backbone.model.modules()}
    assert ({nn.Linear, Conv1D, NewGELUActivation} <= kinds) != uses
    assert (backbone.model.config._attn_implementation == "sdpa") != uses


def test_a_model_loads_at_either_speed(model_folder: Path) -> None:
    assert load_backbone(model_folder).fast is not None
    assert load_backbone(model_folder, speed="plain").fast is None
