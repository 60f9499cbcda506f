"""Attention on CPU in parts: each part knows the logarithm of its softmax's denominator, so that parts can be merged.

The backward pass of a part is given the
output and log-sum-exp of the whole, which is all that its probabilities and the softmax's gradient depend on; so no
probability is kept.
"""

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from aspire_llm.lm.upstream import flash_attention, flash_attention_backward, has_onednn, onednn_product

Query: TypeAlias = Float[Tensor, "batch heads rows width"]  # and what is of its shape: outputs, and gradients of either
Key: TypeAlias = Float[Tensor, "batch heads keys width"]  # and values
Mask: TypeAlias = Float[Tensor, "batch 1 rows keys"]
Part: TypeAlias = tuple[Query, Float[Tensor, "batch heads rows"]]  # output and log-sum-exp

# Query–key pairs per head from which on oneDNN's products, a head at a time, are faster than one call of the kernel.
_WORTH_PRODUCTS, _WORTH_PRODUCTS_BACKWARD = 2**17, 2**15


def attend(
    query: Query, key: Key, value: Key, *, mask: Mask | None = None, causal: bool = False, scale: float | None
) -> Part:
    """Output and log-sum-exp of softmax attention; no gradient.

    Args:
        query: Of R rows.
        key: Of K keys.
        value: Of K keys.
        mask: Additive.
        causal: Row i sees keys up to i.
        scale: Of the scores; None for 1 / sqrt(head width).
    """
    if causal or not _worth_products(query, key, _WORTH_PRODUCTS):
        return flash_attention(query, key, value, mask=mask, causal=causal, scale=scale)
    output = torch.empty_like(query)
    lse = query.new_empty(query.shape[:3])
    for head in _heads(query):
        scores = _scores(head, query, key, mask, scale)
        probabilities = scores.softmax(-1)
        # The largest probability is exp(largest score − lse).
        lse[head] = scores.amax(-1) - probabilities.amax(-1).log_()
        output[head] = onednn_product(probabilities, value[head].contiguous().T)
    return output, lse


def merge(first: Part, second: Part) -> Part:
    """One softmax over the keys of two parts."""
    (output, lse), (other, other_lse) = first, second
    both = torch.logaddexp(lse, other_lse)
    return torch.lerp(output, other, (other_lse - both).exp()[..., None].to(output.dtype)), both


def attend_backward(
    gradient: Query,
    query: Query,
    key: Key,
    value: Key,
    whole: Part,
    *,
    mask: Mask | None = None,
    causal: bool = False,
    scale: float | None,
) -> tuple[Query, Key, Key]:
    """Gradients of query, key and value by one part of what `whole` was merged from."""
    return flash_attention_backward(gradient, query, key, value, *whole, mask=mask, causal=causal, scale=scale)


def query_backward(
    gradient: Query,
    query: Query,
    key: Key,
    value: Key,
    whole: Part,
    *,
    mask: Mask | None = None,
    scale: float | None,
) -> Query:
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
        by_score = onednn_product(gradient[head], value[head].contiguous()).sub_(mean[head]).mul_(probabilities)
        result[head] = onednn_product(by_score, key[head].contiguous().T)
    return result.mul_(_scale(query, scale))


def _worth_products(query: Tensor, key: Tensor, pairs: int) -> bool:
    return query.dtype == torch.float32 and query.shape[2] * key.shape[2] >= pairs and has_onednn()


def _heads(query: Tensor) -> list[tuple[int, int]]:
    return [(i, head) for i in range(query.shape[0]) for head in range(query.shape[1])]


def _scores(head: tuple[int, int], query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    # Any but a contiguous matrix, or one transposed, oneDNN multiplies without its fast kernels.
    scores = onednn_product(query[head] * _scale(query, scale), key[head].contiguous())
    return scores if mask is None else scores.add_(mask[head[0], 0])


def _scale(query: Tensor, scale: float | None) -> float:
    return float(query.shape[-1] ** -0.5) if scale is None else scale
