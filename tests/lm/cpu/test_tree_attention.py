"""The attention of a tree gives what one masked product over all slots gives, forward and backward."""

import copy
import logging

import pytest
import torch
from conftest import tiny_model
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from aspire_llm.lm.cache import Branches
from aspire_llm.lm.cache.prefix import PrefixCache, takes_trees
from aspire_llm.lm.cpu.tree_attention import uninstall
from aspire_llm.lm.model import Backbone


def embedded(backbone: Backbone, *shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return backbone.embed(torch.randint(1, 300, shape, generator=generator))


def right_padded(lengths: list[list[int]]) -> Tensor:
    counts = torch.tensor(lengths)[..., None]
    return torch.arange(int(counts.max())) < counts


def grow(backbone: Backbone) -> tuple[list[Tensor], PrefixCache, Branches]:
    """Prompts of three lengths; four steps on two branches that cross over; answers of uneven lengths on top."""
    valid = right_padded([[7], [4], [9]])
    cache = PrefixCache(backbone, 3)
    logits, branches = cache.extend(cache.root(), embedded(backbone, 3, 1, 9, seed=0), valid, valid)
    outputs = [logits]
    branches = branches.select(torch.zeros(3, 2, dtype=torch.long))
    for step in range(4):
        one = torch.ones(3, 2, 1, dtype=torch.bool)
        logits, branches = cache.extend(branches, embedded(backbone, 3, 2, 1, seed=1 + step), one, one)
        outputs.append(logits)
        branches = branches.select(torch.tensor([[1, 0], [0, 0], [1, 1]]))
    valid = right_padded([[3, 1], [2, 3], [0, 2]])
    logits, branches = cache.extend(branches, embedded(backbone, 3, 2, 3, seed=9), valid, valid)
    return [*outputs, logits], cache, branches


def everything(backbone: Backbone, *, as_tree: bool) -> list[Tensor]:
    """All logits of `grow`, those of a look-ahead, and the gradient of their squares for its embeddings."""
    if not as_tree:
        uninstall(backbone.model)
    backbone.fast.takes_trees = None if as_tree else False
    outputs, cache, branches = grow(backbone)
    ahead = embedded(backbone, 3, 2, 5, seed=20).requires_grad_()
    valid = torch.ones(3, 2, 5, dtype=torch.bool)
    logits = cache.look_ahead(branches, ahead, valid, valid)
    (gradient,) = torch.autograd.grad((logits**2).mean(), ahead)
    return [*outputs, logits.detach(), gradient]


def test_equals_one_masked_product(backbone: Backbone) -> None:
    as_tree, masked = everything(backbone, as_tree=True), everything(backbone, as_tree=False)
    for ours, reference in zip(as_tree, masked, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types(tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype) -> None:
    backbone = Backbone(tiny_model("llama", len(tokenizer)).to(dtype), tokenizer)
    as_tree, masked = everything(backbone, as_tree=True), everything(backbone, as_tree=False)
    tolerance = 1e-9 if dtype == torch.float64 else 0.1
    for ours, reference in zip(as_tree, masked, strict=True):
        assert (ours - reference).abs().max() <= tolerance * reference.abs().max()


def test_a_model_calls_it_as_it_calls_sdpa(llama: Backbone) -> None:
    tokens = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    expected = llama.model(input_ids=tokens, attention_mask=mask).logits
    assert takes_trees(llama)
    torch.testing.assert_close(llama.model(input_ids=tokens, attention_mask=mask).logits, expected)


def test_a_model_that_keeps_its_own_attention_is_given_masks(llama: Backbone, caplog: pytest.LogCaptureFixture) -> None:
    expected = everything(llama, as_tree=False)
    backbone = Backbone(llama.model, llama.tokenizer)
    own = backbone.model.model.layers[1].self_attn
    own.config = copy.deepcopy(own.config)  # so that exchanging the model's attention does not reach this layer
    with caplog.at_level(logging.WARNING):
        outputs = everything(backbone, as_tree=True)
    assert backbone.fast.takes_trees is False
    assert caplog.text.count("one masked product per pass") == 1
    for ours, reference in zip(outputs, expected, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-4)
