"""LoRA on packed layers: each layer's low-rank terms are added to its product in place, as one step of the gradient.

peft computes W x, A x, B (A x), its multiple and the sum one after the other, each with a step of the gradient and, of
the last two, a copy as large as the output. For few tokens those steps take as long as the products themselves.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aspire_llm.lm.cpu.packed_linear import FrozenProduct, Packed, add_low_rank
from aspire_llm.lm.upstream import BaseTunerLayer, LoraLinear, active_adapters


class PackedLora(LoraLinear):
    """What `LoraLinear` computes, on a packed layer."""

    def forward(self, x: Float[Tensor, "*rows in"], *args: Any, **kwargs: Any) -> Float[Tensor, "*rows out"]:
        """x Wᵀ + b + Σ s x Aᵀ Bᵀ over the active adapters, differentiable with respect to x and to what learns."""
        names = [name for name in active_adapters(self) if name in self.lora_A]
        if args or kwargs or self.merged or not all(map(self._is_plain, names)):
            other: Tensor = super().forward(x, *args, **kwargs)
            return other
        factors = [own for name in names for own in (self.lora_A[name].weight, self.lora_B[name].weight)]
        scales = [self.scaling[name] for name in names]
        if torch.is_grad_enabled() and any(own.requires_grad for own in (x, *factors)):
            differentiable: Tensor = FrozenProduct.apply(x, self.base_layer, scales, *factors)  # type: ignore[no-untyped-call]
            return differentiable
        product: Tensor = self.base_layer.times(x)
        rows = x.flatten(0, -2)
        for a, b, scale in zip(factors[::2], factors[1::2], scales, strict=True):
            add_low_rank(product, rows, a, b, scale)
        return product

    def _is_plain(self, name: str) -> bool:
        """Whether an adapter has nothing but its two factors."""
        dropout = self.lora_dropout[name]
        return name not in self.lora_variant and not self.lora_bias[name] and type(dropout) is nn.Identity


def pack_low_rank(layers: Sequence[BaseTunerLayer]) -> None:
    """Let the LoRA layers of packed layers compute so, in place."""
    for layer in layers:
        if type(layer) is LoraLinear and isinstance(layer.base_layer, Packed):
            layer.__class__ = PackedLora
