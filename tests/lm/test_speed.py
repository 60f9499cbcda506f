"""The two speeds give the same, and the plain one is the model as transformers computes it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from conftest import ARCHITECTURES, tiny_model
from reference import everything
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

from aspire_llm.lm import cpu
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model import Backbone, Speed


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
