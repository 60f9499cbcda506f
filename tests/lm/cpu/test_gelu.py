"""GELU as one operation is the function that transformers writes out."""

import pytest
import torch
from conftest import tiny_model
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.activations import ACT2FN

from aspire_llm.lm.cpu.gelu import FusedGELU, fuse_gelu
from aspire_llm.lm.model import Backbone


@pytest.mark.parametrize("name", ["gelu_new", "gelu_fast"])
def test_values_and_derivatives(name: str) -> None:
    module, x = ACT2FN[name], torch.linspace(-8, 8, 4001, requires_grad=True)
    results = []
    for _ in range(2):
        value = module(x)
        results.append((value, *torch.autograd.grad(value.sum(), [x])))
        fuse_gelu(module)
    assert type(module) is FusedGELU
    for before, after in zip(*results, strict=True):
        torch.testing.assert_close(after, before, atol=3e-6, rtol=1e-5)  # the tails cancel


def test_others_stay() -> None:
    model = nn.Sequential(ACT2FN["gelu"], ACT2FN["silu"], ACT2FN["quick_gelu"])
    before = [type(module) for module in model]
    fuse_gelu(model)
    assert [type(module) for module in model] == before


def test_a_backbone_s_is_fused(tokenizer: PreTrainedTokenizerFast) -> None:
    backbone = Backbone(tiny_model("gpt2", len(tokenizer)), tokenizer)
    assert sum(type(module) is FusedGELU for module in backbone.model.modules()) == 2
