"""Attention on CPU in parts: each part knows the logarithm of its softmax's denominator, so that parts can be merged.

Outputs are `[B, heads, rows, head width]`, log-sum-exps `[B, heads, rows]`. The backward pass of a part is given the
output and log-sum-exp of the whole, which is all that its probabilities and the softmax's gradient depend on; so no
probability is kept.
"""

from typing import Any

import torch
from torch import Tensor, nn

from aspire_llm.lm.cpu.packed_linear import has_onednn, product

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

# In causal attention the kernel goes through keys in blocks of 512 and masks what is later within one: rows of short
# prompts attend in blocks of fewer; from some length on it skips enough by itself.
_CAUSAL_ROWS, _KERNEL_SKIPS = 128, 1024
# Query–key pairs a head from which on oneDNN's products, a head at a time, are faster than one call of the kernel.
_WORTH_PRODUCTS, _WORTH_PRODUCTS_BACKWARD = 2**17, 2**15


def attend(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, causal: bool = False, scale: float | None
) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp of softmax attention; no gradient.

    Args:
        query: `[B, heads, R, head width]`.
        key: `[B, heads, K, head width]`.
        value: Like `key`.
        mask: Additive, broadcast to `[B, 1, R, K]`.
        causal: Row i sees keys up to i.
        scale: Of the scores; None for 1 / sqrt(head width).
    """
    if causal or not _worth_products(query, key, _WORTH_PRODUCTS):
        output, lse = _flash(query, key, value, 0.0, causal, attn_mask=mask, scale=scale)
        return output, lse
    output = torch.empty_like(query)
    lse = query.new_empty(query.shape[:3])
    for head in _heads(query):
        scores = _scores(head, query, key, mask, scale)
        probabilities = scores.softmax(-1)
        # The largest probability is exp(largest score − lse).
        lse[head] = scores.amax(-1) - probabilities.amax(-1).log_()
        output[head] = product(probabilities, value[head].contiguous().T, None)
    return output, lse


def merge(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """One softmax over the keys of two parts."""
    (output, lse), (other, other_lse) = first, second
    both = torch.logaddexp(lse, other_lse)
    return torch.lerp(output, other, (other_lse - both).exp()[..., None].to(output.dtype)), both


def attend_backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    whole: tuple[Tensor, Tensor],
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value by one part of what `whole` was merged from."""
    output, lse = whole
    gradients: tuple[Tensor, Tensor, Tensor] = _flash_backward(
        gradient, query, key, value, output, lse, 0.0, causal, attn_mask=mask, scale=scale
    )
    return gradients


def query_backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    whole: tuple[Tensor, Tensor],
    *,
    mask: Tensor | None = None,
    scale: float | None,
) -> Tensor:
    """`attend_backward` for a part whose keys and values are constant: three products instead of five.

    dQ = scale · [P ∘ (dO Vᵀ − rowsum(dO ∘ O))] K, with P = exp(scale · Q Kᵀ − lse) (Dao et al. 2022, appendix B).
    """
    if not _worth_products(query, key, _WORTH_PRODUCTS_BACKWARD):
        return attend_backward(gradient, query, key, value, whole, mask=mask, scale=scale)[0]
    output, lse = whole
    mean = (gradient * output).sum(-1, keepdim=True)
    result = torch.empty_like(query)
    for head in _heads(query):
        probabilities = _scores(head, query, key, mask, scale).sub_(lse[head][:, None]).exp_()
        by_score = product(gradient[head], value[head].contiguous(), None).sub_(mean[head]).mul_(probabilities)
        result[head] = product(by_score, key[head].contiguous().T, None)
    return result.mul_(_scale(query, scale))


def _worth_products(query: Tensor, key: Tensor, pairs: int) -> bool:
    return query.dtype == torch.float32 and query.shape[2] * key.shape[2] >= pairs and has_onednn()


def _heads(query: Tensor) -> list[tuple[int, int]]:
    return [(i, head) for i in range(query.shape[0]) for head in range(query.shape[1])]


def _scores(head: tuple[int, int], query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    # Any but a contiguous matrix, or one transposed, oneDNN multiplies without its fast kernels.
    scores = product(query[head] * _scale(query, scale), key[head].contiguous(), None)
    return scores if mask is None else scores.add_(mask[head[0], 0])


def _scale(query: Tensor, scale: float | None) -> float:
    return float(query.shape[-1] ** -0.5) if scale is None else scale


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    """Every row attends to itself and to the rows before it; differentiable."""
    if _CAUSAL_ROWS < query.shape[2] < _KERNEL_SKIPS:
        output: Tensor = _CausalBlocks.apply(query, key, value, scale)  # type: ignore[no-untyped-call]
        return output
    return nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)


class _CausalBlocks(torch.autograd.Function):
    """Causal attention in blocks of rows, none of which computes keys that only later rows see."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        output = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        lse = torch.empty(query.shape[:3], dtype=torch.promote_types(query.dtype, torch.float32))
        for rows in _blocks(query.shape[2]):
            part = attend(query[:, :, rows], key[:, :, rows], value[:, :, rows], causal=True, scale=scale)
            if rows.start:
                before = slice(rows.start)
                part = merge(part, attend(query[:, :, rows], key[:, :, before], value[:, :, before], scale=scale))
            output[:, :, rows], lse[:, :, rows] = part
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.scale = scale
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, lse = ctx.saved_tensors
        query_gradient, key_gradient, value_gradient = (torch.zeros_like(tensor) for tensor in (query, key, value))
        for rows in _blocks(query.shape[2]):
            for keys, causal in ((rows, True), (slice(rows.start), False)):
                if keys.stop > (keys.start or 0):
                    parts = attend_backward(
                        gradients[0][:, :, rows],
                        query[:, :, rows],
                        key[:, :, keys],
                        value[:, :, keys],
                        (output[:, :, rows], lse[:, :, rows]),
                        causal=causal,
                        scale=ctx.scale,
                    )
                    query_gradient[:, :, rows] += parts[0]
                    key_gradient[:, :, keys] += parts[1]
                    value_gradient[:, :, keys] += parts[2]
        return query_gradient, key_gradient, value_gradient, None


def _blocks(rows: int) -> list[slice]:
    return [slice(start, min(start + _CAUSAL_ROWS, rows)) for start in range(0, rows, _CAUSAL_ROWS)]
