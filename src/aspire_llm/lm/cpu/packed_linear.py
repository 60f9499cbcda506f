"""Frozen linear layers on CPU by oneDNN's kernels, with weights laid out once for decoding.

`torch.nn.functional.linear` brings its weight into the kernel's layout at every call, and uses a kernel made for many
rows. A frozen weight can be laid out once: measured on AVX-512 CPUs in float32, that is up to twice as fast for
hundreds of rows and up to six times for the ten rows of a decoding step (see docs/experiments.md).

The weight laid out takes the place of the plain one, which gradients bring back: no model is held twice. An output
matrix that is the token embeddings too is needed plainly, and gets a copy where decoding holds more than it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aspire_llm.lm.memory import give_back_freed
from aspire_llm.lm.quantization import is_packed
from aspire_llm.lm.upstream import Conv1D, has_onednn, onednn_layout, onednn_product

# From here on, laying a weight out for one product costs a tenth of the product: not worth a layout that stays.
_MANY_ROWS = 128
# So many bytes of weights change their layout until malloc has to give back what the old ones leave.
_REPLACED_AT_ONCE = 2**24
# A copy of the output matrix is kept from so many positions that `generate` would hold for each row of the matrix.
_POSITIONS_PER_OUTPUT = 1 / 8

_PACKING: ContextVar[int | None] = ContextVar("positions of what is decoded, where products pack", default=None)


@contextmanager
def packing(positions: int) -> Iterator[None]:
    """Within, products of few rows lay their weights out for all later ones: for decoding, one pass per token.

    Args:
        positions: Of all branches that are decoded, what they share counted for each.
    """
    token = _PACKING.set(positions)
    try:
        yield
    finally:
        _PACKING.reset(token)


class FrozenProduct(torch.autograd.Function):
    """x Wᵀ + b + Σ s x Aᵀ Bᵀ, differentiable with respect to x and to all A and B, but not to W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "Packed", scales: Sequence[float], *factors: Tensor) -> Tensor:
        """The product.

        Args:
            ctx: Takes what the gradient needs.
            x: `[*rows, in]`.
            layer: Holds W and b.
            scales: One s per low-rank term; there may be none.
            factors: A `[r, in]` and B `[out, r]` of each term in turn.
        """
        layer.unpack()
        product, rows = layer.times(x), x.flatten(0, -2)
        inner = [add_low_rank(product, rows, *term) for term in zip(factors[::2], factors[1::2], scales, strict=True)]
        ctx.layer, ctx.scales = layer, scales
        ctx.save_for_backward(*((rows, *factors, *inner) if factors else ()))
        return product

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        of_x = ctx.layer.gradient_of(gradient) if ctx.needs_input_grad[0] else None
        if not ctx.scales:
            return of_x, None, None
        (rows, *saved), many = ctx.saved_tensors, 2 * len(ctx.scales)
        by_row, of_factors = gradient.flatten(0, -2), []
        terms = zip(saved[:many:2], saved[1:many:2], saved[many:], ctx.scales, strict=True)
        for number, (a, b, inner, scale) in enumerate(terms):
            of_inner = (by_row @ b).mul_(scale)
            if of_x is not None:
                of_x.flatten(0, -2).addmm_(of_inner, a)
            learns = ctx.needs_input_grad[3 + 2 * number]
            of_factors += [of_inner.T @ rows, (by_row.T @ inner).mul_(scale)] if learns else [None, None]
        return of_x, None, None, *of_factors


def add_low_rank(product: Tensor, rows: Tensor, a: Tensor, b: Tensor, scale: float) -> Float[Tensor, "rows r"]:
    """Add s x Aᵀ Bᵀ to a product in place, and return x Aᵀ."""
    inner = rows @ a.T
    product.flatten(0, -2).addmm_(inner, b.T, alpha=scale)
    return inner


class Packed(nn.Module):
    """What a packed `Linear` and a packed `Conv1D` share.

    Attributes:
        weight: The plain weight, made anew at every access while it is laid out. `parameters` gives what is stored.
        tied: Whether the weight is another module's too, so that it stays plain.
    """

    bias: Any
    tied = False
    _packed: Tensor | None = None

    @property
    def weight(self) -> Any:
        stored = self._parameters["weight"]
        return self._plain(stored.to_dense()) if stored is not None and stored.is_mkldnn else stored

    @property
    def num_weights(self) -> int:
        """Of the matrix."""
        stored: Any = self._parameters["weight"]
        return int(stored.numel())

    def matrix(self) -> Float[Tensor, "out in"]:
        """The weight as `[out, in]`, plainly."""
        return self._plain(self.weight.detach())

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """x Wᵀ + b, differentiable with respect to x."""
        if x.requires_grad and torch.is_grad_enabled():
            differentiable: Tensor = FrozenProduct.apply(x, self, ())  # type: ignore[no-untyped-call]
            return differentiable
        return self.times(x)

    def times(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """x Wᵀ + b; the same bits whether the weight is laid out or not, so that a resumed run computes the same."""
        rows = x.shape[:-1].numel()
        if rows == 1:  # oneDNN's kernel for a single row rounds otherwise with a weight laid out
            return onednn_product(torch.stack([x, x]), self._forward_weight(rows), self.bias)[0]
        return onednn_product(x, self._forward_weight(rows), self.bias)

    def gradient_of(self, gradient: Float[Tensor, "*rows out"]) -> Float[Tensor, "*rows in"]:
        """The gradient of x, given that of x Wᵀ + b."""
        if gradient.shape[:-1].numel() < _MANY_ROWS:  # oneDNN would lay the weight out for a single product
            return gradient @ self.matrix()
        return onednn_product(gradient, self.matrix().T)

    def __getstate__(self) -> dict[str, Any]:
        """With the plain weight: the layout of a kernel is neither copied nor stored."""
        plain = {"_packed": None, "_parameters": {**self._parameters, "weight": _frozen(self.weight)}}
        return {**self.__dict__, **(plain if self._packed is not None and not self.tied else {"_packed": None})}

    def _plain(self, matrix: Tensor) -> Tensor:
        """A weight of the layer's own orientation as `[out, in]`, and the other way round."""
        raise NotImplementedError

    def _forward_weight(self, num_rows: int) -> Tensor:
        if self._packed is None and num_rows < _MANY_ROWS and (positions := _PACKING.get()) is not None:
            matrix = self.matrix().contiguous()
            if not self.tied:
                self._packed = onednn_layout(matrix)
                self._parameters["weight"] = _frozen(self._packed)
                _OLD_LAYOUTS.add(matrix)
            elif positions >= _POSITIONS_PER_OUTPUT * matrix.shape[0]:
                self._packed = onednn_layout(matrix)
        return self.matrix() if self._packed is None else self._packed

    def unpack(self) -> None:
        """Back to the plain weight, which gradients take."""
        if self._packed is not None and not self.tied:
            self._parameters["weight"], self._packed = _frozen(self.weight), None
            _OLD_LAYOUTS.add(self.weight)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self.weight if keep_vars else self.weight.detach()


class _OldLayouts:
    """The memory of layouts that others have replaced: malloc finds hardly any of it large enough for the next ones."""

    def __init__(self) -> None:
        self._num_bytes = 0

    def add(self, weight: Tensor) -> None:
        """Count one that goes, and give all back from time to time."""
        self._num_bytes += weight.nbytes
        if self._num_bytes >= _REPLACED_AT_ONCE:
            self._num_bytes = 0
            give_back_freed()


_OLD_LAYOUTS = _OldLayouts()


def _frozen(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight, requires_grad=False)


class PackedLinear(Packed, nn.Linear):  # type: ignore[override]
    """A frozen `nn.Linear`."""

    def _plain(self, matrix: Tensor) -> Tensor:
        return matrix


class PackedConv1D(Packed, Conv1D):
    """A frozen `Conv1D` (GPT-2's linear layer, whose weight is `[in, out]`)."""

    def _plain(self, matrix: Tensor) -> Tensor:
        return matrix.T


_PACKED_TYPES: dict[type[nn.Module], type[Packed]] = {nn.Linear: PackedLinear, Conv1D: PackedConv1D}


def pack_linear_layers(model: nn.Module) -> bool:
    """Let the frozen linear layers of a model in float32 on CPU use oneDNN, in place.

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
    holders = Counter(id(own) for module in model.modules() for own in module.parameters(recurse=False))
    for layer in layers:
        layer.__class__ = _PACKED_TYPES[type(layer)]  # parameters, hooks and references to the layer stay
        layer.tied = holders[id(layer.weight)] > 1
    return True
