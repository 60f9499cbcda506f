"""Activations that the product before them computes, while its numbers are at hand.

GPT-2's GELU is eight passes over the widest tensors of the model, and SiLU a slow one; oneDNN ends a product with
either at next to no cost. Where a gradient is asked for, the activation follows the product as one differentiable
operation, which keeps one tensor for the backward pass where GPT-2's keeps five.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import (
    FastGELUActivation,
    GELUActivation,
    GELUTanh,
    NewGELUActivation,
    SiLUActivation,
)

from aspire_llm.lm.packed_linear import NO_POST_OP, Packed, PostOp

_RELU = (PostOp("relu"), nn.functional.relu)
_SILU = (PostOp("swish"), nn.functional.silu)
_GELU = (PostOp("gelu", "none"), nn.functional.gelu)
_GELU_BY_TANH = (PostOp("gelu", "tanh"), partial(nn.functional.gelu, approximate="tanh"))
_KNOWN: dict[type[nn.Module], tuple[PostOp, Callable[[Tensor], Tensor]]] = {
    nn.ReLU: _RELU,
    nn.SiLU: _SILU,
    SiLUActivation: _SILU,
    GELUActivation: _GELU,
    GELUTanh: _GELU_BY_TANH,
    NewGELUActivation: _GELU_BY_TANH,
    FastGELUActivation: _GELU_BY_TANH,
}


class FusedActivation(nn.Module):
    """What is left of an activation that the layer before it applies, but where a gradient is asked for."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.applied_before = True

    def forward(self, x: Tensor) -> Tensor:
        return x if self.applied_before and not x.requires_grad else self.function(x)


def fuse_activations(model: PreTrainedModel) -> None:
    """Let packed layers apply the activations that follow them, in place, if the model computes the same then.

    Which activation follows which layer is seen in a pass over a few tokens.
    """
    before, followers = _pass_of(model)
    for path, layer in followers.items():
        layer.post_op, function = _KNOWN[type(model.get_submodule(path))]
        model.set_submodule(path, FusedActivation(function))
    after, _ = _pass_of(model)
    if not torch.allclose(before, after, rtol=1e-4, atol=1e-4 * float(before.abs().max())):
        separate_activations(model)


def separate_activations(model: nn.Module) -> None:
    """Activations apply themselves again: for layers whose product is not the last thing that happens to them."""
    for module in model.modules():
        if isinstance(module, Packed):
            module.post_op = NO_POST_OP
        elif isinstance(module, FusedActivation):
            module.applied_before = False


@torch.no_grad()
def _pass_of(model: PreTrainedModel) -> tuple[Tensor, dict[str, Packed]]:
    """Logits of a few tokens, and the packed layer whose product is all that an activation, by its path, is given."""
    products: dict[int, tuple[Tensor, Packed]] = {}  # by id; the tensors are kept, so that no other gets it
    given: dict[str, list[Packed | None]] = defaultdict(list)

    def note_product(layer: Packed, _arguments: object, output: Tensor) -> None:
        products[id(output)] = (output, layer)

    def note_activation(path: str, _module: nn.Module, arguments: tuple[Tensor]) -> None:
        given[path].append(products[id(arguments[0])][1] if id(arguments[0]) in products else None)

    hooks = []
    for path, module in model.named_modules():
        if isinstance(module, Packed):
            hooks.append(module.register_forward_hook(note_product))
        elif type(module) in _KNOWN:
            hooks.append(module.register_forward_pre_hook(partial(note_activation, path)))
    try:
        logits: Tensor = model(input_ids=torch.arange(4)[None], use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    uses = Counter(layer for layers in given.values() for layer in layers)
    return logits, {
        path: layers[0]
        for path, layers in given.items()
        if len(layers) == 1 and layers[0] is not None and uses[layers[0]] == 1
    }
