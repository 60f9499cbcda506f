"""Packed layers compute what the layers they replace compute, forward and backward, and keep their parameters."""

import copy
from collections.abc import Callable

import pytest
import torch
from conftest import tiny_model
from reference import encoder_of, soft_prompt
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.pytorch_utils import Conv1D

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.cache.prefix import takes_trees
from aspire_llm.lm.cpu.allocator import keep_freed_memory
from aspire_llm.lm.cpu.packed_linear import PackedConv1D, PackedLinear, pack_linear_layers, packing
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.likelihood import answer_log_probs
from aspire_llm.lm.memory import PeakMemory
from aspire_llm.lm.model import Backbone
from aspire_llm.records import Question


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(17, 33), (2, 5, 33), (1, 1, 33), (0, 33)])
def test_linear_and_its_gradient(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(33, 20, bias=bias).requires_grad_(False)
    packed = nn.Linear(33, 20, bias=bias).requires_grad_(False)
    packed.load_state_dict(plain.state_dict())
    packed.__class__ = PackedLinear
    x, y = (torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    torch.testing.assert_close(packed(x), plain(y), atol=1e-5, rtol=1e-5)
    weights = torch.randn(*shape[:-1], 20)
    (packed(x) * weights).sum().backward()
    (plain(y) * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(packed(x), plain(y), atol=1e-5, rtol=1e-5)


def test_conv1d_and_its_gradient() -> None:
    torch.manual_seed(0)
    plain = Conv1D(20, 33).requires_grad_(False)
    nn.init.normal_(plain.bias)
    packed = Conv1D(20, 33).requires_grad_(False)
    packed.load_state_dict(plain.state_dict())
    packed.__class__ = PackedConv1D
    x = torch.randn(3, 4, 33)
    xs = [x.clone().requires_grad_() for _ in range(2)]
    results = [layer(value) for layer, value in zip((packed, plain), xs, strict=True)]
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
    for result in results:
        (result**2).sum().backward()
    torch.testing.assert_close(xs[0].grad, xs[1].grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("width", [33, 192, 768])
@pytest.mark.parametrize("kind", [nn.Linear, lambda width, out: Conv1D(out, width)])
def test_a_packed_copy_changes_no_bit(width: int, kind: Callable[[int, int], nn.Module]) -> None:
    layer = kind(width, 200).requires_grad_(False)
    assert pack_linear_layers(nn.Sequential(layer))
    for rows in (1, 2, 3, 10, 51, 127, 128, 300):
        x = torch.randn(rows, width)
        layer.unpack()
        plain = layer(x)
        with packing(0):
            layer(x[:2])
        assert layer._packed is not None
        assert torch.equal(layer(x), plain), f"{rows} rows"


def test_a_backbone_s_layers_are_packed_and_its_parameters_stay(backbone: Backbone) -> None:
    packed = [m for m in backbone.model.modules() if isinstance(m, PackedLinear | PackedConv1D)]
    assert len(packed) > 8
    assert not any(type(module) in (nn.Linear, Conv1D) for module in backbone.model.modules())
    tied = backbone.model.get_output_embeddings().weight is backbone.model.get_input_embeddings().weight
    assert tied == backbone.model.config.tie_word_embeddings


def test_other_types_are_left_alone() -> None:
    class Own(nn.Linear):
        pass

    model = nn.Sequential(Own(4, 4), nn.Linear(4, 4)).to(torch.bfloat16)
    assert not pack_linear_layers(model)
    model = nn.Sequential(Own(4, 4), nn.Linear(4, 4))
    assert pack_linear_layers(model)
    assert [type(module) for module in model] == [Own, PackedLinear]


@pytest.mark.skipif(not keep_freed_memory(), reason="malloc is not glibc's")
def test_layouts_take_the_memory_of_those_they_replace() -> None:
    shapes = [*[(768, 768)] * 4, (768, 3072), (3072, 768)]
    layers = nn.ModuleList(nn.Linear(*shape) for _ in range(12) for shape in shapes).requires_grad_(False)
    assert pack_linear_layers(layers)
    order = [layers[i] for first in range(6) for i in range(first, 72, 6)]  # their blocks are no neighbours
    memory = PeakMemory(torch.device("cpu"))
    with packing(1000):
        for layer in order:
            layer(torch.ones(2, layer.in_features))
    assert all(layer._packed is not None for layer in order)
    for layer in order:
        layer.unpack()
    peak = memory.peak()
    assert peak is not None
    assert peak < 2**26  # the weights have 324 MiB, of which malloc kept up to 295


@pytest.mark.parametrize("kind", [nn.Linear, lambda width, out: Conv1D(out, width)])
def test_a_weight_laid_out_takes_the_place_of_the_plain_one(kind: Callable[[int, int], nn.Module]) -> None:
    layer = kind(33, 20).requires_grad_(False)
    plain, given = layer.weight.clone(), copy.deepcopy(layer)
    model = nn.Sequential(layer)
    assert pack_linear_layers(model)
    with packing(0):
        expected = layer(torch.ones(2, 33))
    assert [own.is_mkldnn for own in model.parameters() if own.ndim == 2] == [True]
    assert torch.equal(layer.weight, plain)
    assert {name: own.tolist() for name, own in model.state_dict().items()} == {
        f"0.{name}": own.tolist() for name, own in given.state_dict().items()
    }
    copied = copy.deepcopy(model)
    assert not any(own.is_mkldnn for own in copied.parameters())
    assert torch.equal(copied(torch.ones(2, 33)), expected)
    x = torch.ones(2, 33, requires_grad=True)
    layer(x).sum().backward()
    assert not any(own.is_mkldnn for own in model.parameters())
    assert torch.equal(layer.weight, plain)
    y = torch.ones(2, 33, requires_grad=True)
    given(y).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_an_output_matrix_that_is_the_embeddings_is_copied_for_many_positions_alone(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    backbone = Backbone(tiny_model("gpt2", len(tokenizer)), tokenizer)
    head, embeddings = backbone.model.get_output_embeddings(), backbone.model.get_input_embeddings()
    x = torch.ones(2, head.in_features)
    few = len(tokenizer) // 8 - 1
    for positions, copied in ((few, False), (few + 2, True)):
        with packing(positions):
            head(x)
        assert (head._packed is not None) == copied
        assert head.weight is embeddings.weight
        assert not embeddings.weight.is_mkldnn


def test_only_decoding_packs(backbone: Backbone) -> None:
    packed = [m for m in backbone.model.modules() if isinstance(m, PackedLinear | PackedConv1D)]
    assert takes_trees(backbone)
    model = AdaptedModel(backbone, soft_prompt(backbone, seed=1), soft_prompt(backbone, seed=2))
    prompts = [encoder_of(backbone).prompt(Question("0", "Where?"))]
    before = model.read(prompts)[2]
    model.verdict_logits(*model.read_answers(prompts, [[(5,), (6, 7)]])).sum().backward()
    answer_log_probs(model, prompts, [(5, 0)])[0].sum().backward()
    assert all(layer._packed is None for layer in packed)
    beam_search(model, prompts, num_beams=2, max_new_tokens=3)
    assert all(layer._packed is not None for layer in packed if not layer.tied)
    assert torch.equal(model.read(prompts)[2], before)
    answer_log_probs(model, prompts, [(5, 0)])[0].sum().backward()
    assert all(layer._packed is None for layer in packed if not layer.tied), "gradients take plain weights"
