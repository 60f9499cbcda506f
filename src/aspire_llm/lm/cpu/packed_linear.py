"""Frozen linear layers on CPU by oneDNN's kernels, with weights laid out once for decoding.

`torch.nn.functional.linear` brings its weight into the kernel's layout at every call, and uses a kernel made for many
rows. A frozen weight can be laid out once: measured on AVX-512 CPUs in float32, that is up to twice as fast for
hundreds of rows and up to six times for the ten rows of a decoding step (see docs/experiments.md). The layers keep
their parameters, so that state dicts, tied weights and `peft` see what they saw before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aspire_llm.lm.memory import free_memory
from aspire_llm.lm.quantization import is_packed
from aspire_llm.lm.upstream import Conv1D, has_onednn, onednn_layout, onednn_product

# Of the free memory, what packed copies of the weights may take.
_MEMORY_SHARE = 0.5
# From here on, laying a weight out for one product costs a tenth of the product: not worth a copy that stays.
_MANY_ROWS = 128


_PACKING: ContextVar[bool] = ContextVar("whether products of few rows make packed weights", default=False)


@contextmanager
def packing() -> Iterator[None]:
    """Within, products of few rows keep packed weights for all later ones: for decoding, one pass per token."""
    token = _PACKING.set(True)
    try:
        yield
    finally:
        _PACKING.reset(token)


class _FrozenProduct(torch.autograd.Function):
    """x Wᵀ + b, differentiable with respect to x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "Packed") -> Tensor:
        ctx.layer = layer
        return layer.times(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return onednn_product(gradients[0].contiguous(), ctx.layer.matrix().T), None


class Packed(nn.Module):
    """What a packed `Linear` and a packed `Conv1D` share; the packed copy is made when decoding first asks for it.

    Attributes:
        keeps_copy: Whether there is memory for a packed copy.
    """

    weight: Any
    bias: Any
    keeps_copy = True
    _packed: Tensor | None = None

    def matrix(self) -> Float[Tensor, "out in"]:
        """The weight as `[out, in]`."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """x Wᵀ + b, differentiable with respect to x."""
        if x.requires_grad and torch.is_grad_enabled():
            differentiable: Tensor = _FrozenProduct.apply(x, self)  # type: ignore[no-untyped-call]
            return differentiable
        return self.times(x)

    def times(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """x Wᵀ + b; the same bits whether a packed copy is there or not, so that a resumed run computes the same."""
        rows = x.shape[:-1].numel()
        if rows == 1:  # oneDNN's kernel for a single row rounds otherwise with a packed weight
            return onednn_product(torch.stack([x, x]), self._forward_weight(rows), self.bias)[0]
        return onednn_product(x, self._forward_weight(rows), self.bias)

    def _forward_weight(self, num_rows: int) -> Tensor:
        if self._packed is None and self.keeps_copy and num_rows < _MANY_ROWS and _PACKING.get():
            self._packed = onednn_layout(self.matrix().contiguous())
        return self.matrix() if self._packed is None else self._packed


class PackedLinear(Packed, nn.Linear):
    """A frozen `nn.Linear`."""

    def matrix(self) -> Float[Tensor, "out in"]:
        matrix: Tensor = self.weight.detach()
        return matrix


class PackedConv1D(Packed, Conv1D):
    """A frozen `Conv1D` (GPT-2's linear layer, whose weight is `[in, out]`)."""

    def matrix(self) -> Float[Tensor, "out in"]:
        matrix: Tensor = self.weight.detach().T
        return matrix


_PACKED_TYPES: dict[type[nn.Module], type[Packed]] = {nn.Linear: PackedLinear, Conv1D: PackedConv1D}


def pack_linear_layers(model: nn.Module) -> bool:
    """Let the frozen linear layers of a model in float32 on CPU use oneDNN, in place.

    How much memory is free decides what they keep, never what they compute: a resumed run may find less.

    Returns:
        Whether it was done: not on other devices and types, nor where weights are quantised or brought when needed.
    """
    layers: list[Any] = [module for module in model.modules() if type(module) in _PACKED_TYPES]
    if not layers or not has_onednn():
        return False
    parameters = list(model.parameters())
    # Quantised weights may pass for float32.
    if any(own.device.type != "cpu" or own.dtype != torch.float32 or is_packed(own) for own in parameters):
        return False
    keeps_copy = sum(layer.weight.nbytes for layer in layers) <= _MEMORY_SHARE * free_memory(torch.device("cpu"))
    for layer in layers:
        layer.__class__ = _PACKED_TYPES[type(layer)]  # parameters, hooks and references to the layer stay
        layer.keeps_copy = keeps_copy
    return True
