"""LoRA on packed layers computes what peft's own layers do, forward and backward, for one adapter, several and none."""

import warnings

import pytest
import torch
from conftest import tiny_model
from peft import LoraConfig
from torch import nn

from aspire_llm.lm.cpu.low_rank import PackedLora, pack_low_rank
from aspire_llm.lm.cpu.packed_linear import pack_linear_layers
from aspire_llm.lm.upstream import BaseTunerLayer, activate_adapters

VOCABULARY = 40
TOKENS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])


def with_adapters(architecture: str, *, packed: bool, **settings: object) -> tuple[nn.Module, list[BaseTunerLayer]]:
    """A model with the adapters "task" and "verdict", of which only the second learns."""
    model = tiny_model(architecture, VOCABULARY).eval().requires_grad_(False)
    if packed:
        assert pack_linear_layers(model)
    conv = architecture == "gpt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name, rank in (("task", 2), ("verdict", 3)):
            config = LoraConfig(r=rank, lora_alpha=5, target_modules="all-linear", fan_in_fan_out=conv, **settings)
            model.add_adapter(config, adapter_name=name)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
            parameter.requires_grad_(".verdict." in name)
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    if packed:
        pack_low_rank(layers)
        assert {type(layer) for layer in layers} == {PackedLora}
    return model.eval(), layers


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("active", [[], ["task"], ["verdict"], ["task", "verdict"], ["verdict", "task"]])
def test_logits_and_gradients_are_peft_s(architecture: str, active: list[str]) -> None:
    found = []
    for packed in (False, True):
        model, layers = with_adapters(architecture, packed=packed)
        activate_adapters(layers, active)
        embeddings = model.get_input_embeddings()(TOKENS).requires_grad_()
        logits = model(inputs_embeds=embeddings).logits
        (logits**2).mean().backward()
        learned = {name: own.grad for name, own in model.named_parameters() if own.requires_grad}
        with torch.no_grad():
            again = model(inputs_embeds=embeddings).logits
        found.append({"logits": logits, "without gradient": again, "embeddings": embeddings.grad, **learned})
    assert {name for name, own in found[1].items() if own is None} == {
        name for name, own in found[0].items() if own is None
    }
    for name, expected in found[0].items():
        if expected is not None:
            torch.testing.assert_close(
                found[1][name], expected, atol=1e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_factors_learn_where_the_input_has_no_gradient() -> None:
    """As in the first layer of a model whose embeddings are fixed."""
    gradients = []
    for packed in (False, True):
        model, layers = with_adapters("llama", packed=packed)
        activate_adapters(layers, ["task", "verdict"])
        model(TOKENS).logits.square().mean().backward()
        gradients.append([own.grad for own in model.parameters() if own.requires_grad])
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"lora_dropout": 0.5}])
def test_other_kinds_of_lora_are_left_to_peft(settings: dict[str, object]) -> None:
    results = []
    for packed in (False, True):
        model, layers = with_adapters("llama", packed=packed, **settings)
        activate_adapters(layers, ["verdict"])
        results.append(model.eval()(TOKENS).logits)
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-5)
