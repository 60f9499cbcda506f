"""Activations that products apply: the plain model's logits and gradients, and what must not be fused."""

import copy
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from conftest import ARCHITECTURES, tiny_model
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.activations import ACT2FN

from aspire_llm.config import TrainingConfig
from aspire_llm.lm.adapters import TASK, new_adapter
from aspire_llm.lm.backbone import Backbone
from aspire_llm.lm.fused_activations import FusedActivation, fuse_activations
from aspire_llm.lm.packed_linear import NO_POST_OP, Packed, pack_linear_layers

TOKENS = torch.tensor([[5, 6, 7, 8, 9, 3], [1, 2, 3, 4, 5, 6]])


def fused_in(model: nn.Module) -> int:
    """Activations that are left to products; as many products apply one."""
    applied = sum(isinstance(module, FusedActivation) and module.applied_before for module in model.modules())
    assert applied == sum(isinstance(module, Packed) and module.post_op != NO_POST_OP for module in model.modules())
    return applied


@pytest.fixture(params=ARCHITECTURES)
def both(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> tuple[Backbone, PreTrainedModel]:
    """A backbone, and its model as transformers has it: ReLU, GELU by tanh, SiLU."""
    plain = tiny_model(request.param, len(tokenizer)).eval().requires_grad_(False)
    return Backbone(copy.deepcopy(plain), tokenizer), plain


def test_logits_and_gradients_are_the_plain_model_s(both: tuple[Backbone, PreTrainedModel]) -> None:
    backbone, plain = both
    assert fused_in(backbone.model) == 2, "one a layer"
    with torch.no_grad():
        ours, theirs = backbone.model(TOKENS).logits, plain(TOKENS).logits
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    gradients = []
    for model in (backbone.model, plain):
        embeddings = backbone.embed(TOKENS).requires_grad_()
        logits = model(inputs_embeds=embeddings).logits
        torch.testing.assert_close(logits, theirs, atol=1e-5, rtol=1e-5)
        gradients += torch.autograd.grad(logits.logsumexp(-1).sum(), [embeddings])
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_lora_changes_what_the_activation_is_given(both: tuple[Backbone, PreTrainedModel]) -> None:
    backbone, plain = both
    adapter = new_adapter(backbone, TASK, TrainingConfig(adapter="lora", lora_rank=2), seed=0)
    assert fused_in(backbone.model) == 0
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_(std=0.3)
        with adapter.active():
            ours = backbone.model(TOKENS).logits
        plain.add_adapter(adapter._lora_config, adapter_name=TASK)
        plain.load_state_dict(backbone.model.state_dict())
        torch.testing.assert_close(ours, plain(TOKENS).logits, atol=1e-4, rtol=1e-4)


class Layers(nn.Module):
    """Two linear layers with whatever happens to what they give, in the form of a model."""

    def __init__(self, ends: Callable[["Layers", Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.first, self.second = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.one, self.other = nn.SiLU(), nn.SiLU()
        self.ends = ends
        self.requires_grad_(False)

    def forward(self, input_ids: Tensor, use_cache: bool = False) -> SimpleNamespace:
        x = self.embedding(input_ids)
        return SimpleNamespace(logits=self.ends(self, self.first(x), self.second(x)))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (lambda layers, x, y: layers.one(x) * y, 1),
        (lambda layers, x, y: layers.one(x) + layers.other(y), 2),
        (lambda layers, x, y: layers.one(x) * x + y, 0),  # the product itself is wanted too
        (lambda layers, x, y: layers.one(x) + layers.one(y), 0),  # one module for both
        (lambda layers, x, y: layers.one(x) + layers.other(x) + y, 0),
        (lambda layers, x, y: layers.one(x + y), 0),
    ],
)
def test_only_what_a_product_is_for_is_fused(ends: Callable[..., Tensor], expected: int) -> None:
    layers = Layers(ends)
    before = layers(TOKENS % 9).logits
    assert pack_linear_layers(layers)
    fuse_activations(layers)
    assert fused_in(layers) == expected
    torch.testing.assert_close(layers(TOKENS % 9).logits, before, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["relu", "silu", "swish", "gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu"]
)
def test_each_activation_keeps_its_values_and_derivative(name: str) -> None:
    layers = Layers(lambda layers, x, y: layers.one(x) * y)
    layers.one = ACT2FN[name]
    plain = copy.deepcopy(layers)
    assert pack_linear_layers(layers)
    fuse_activations(layers)
    assert fused_in(layers) == (name != "quick_gelu")
    torch.testing.assert_close(layers(TOKENS % 9).logits, plain(TOKENS % 9).logits, atol=1e-5, rtol=1e-5)
    x = torch.linspace(-8, 8, 400).requires_grad_()
    gradients = [torch.autograd.grad(module.one(x).sum(), [x])[0] for module in (layers, plain)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)
