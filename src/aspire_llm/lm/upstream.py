"""All that is private, young or undocumented in transformers, torch and peft and yet used here.

No other module imports these names, and `tests/lm/test_upstream.py` says of each what is relied on: a new version of a
library that breaks one fails there by name. The versions that pass are the ceilings in pyproject.toml.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, Cache, DynamicCache, PreTrainedModel
from transformers.activations import FastGELUActivation, NewGELUActivation
from transformers.cache_utils import CacheLayerMixin
from transformers.distributed import DistributedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.auto.tokenization_auto import get_tokenizer_config, tokenizer_class_from_name
from transformers.pytorch_utils import Conv1D
from transformers.utils.chat_template_utils import _compile_jinja_template as compile_chat_template

__all__ = [
    "BaseTunerLayer",
    "Cache",
    "CacheLayerMixin",
    "Conv1D",
    "DistributedConfig",
    "DynamicCache",
    "FastGELUActivation",
    "GradientCheckpointingLayer",
    "NewGELUActivation",
    "compile_chat_template",
    "exchange_attention",
    "flash_attention",
    "flash_attention_backward",
    "get_peft_model_state_dict",
    "get_tokenizer_config",
    "has_onednn",
    "has_tensor_plan",
    "is_stateful",
    "onednn_layout",
    "onednn_product",
    "restore_attention",
    "sdpa_attention_forward",
    "set_peft_model_state_dict",
    "tokenizer_class_from_name",
]

_SDPA = "sdpa"


def is_stateful(model: PreTrainedModel) -> bool:
    """Whether a model keeps a recurrent state that cannot go back."""
    return bool(getattr(model, "_is_stateful", False))


def has_tensor_plan(model: PreTrainedModel) -> bool:
    """Whether transformers knows how to split a model's matrices among processes."""
    return bool(model.supports_tp_plan)


def exchange_attention(model: PreTrainedModel, name: str, function: Callable[..., Any]) -> bool:
    """Let a model that uses torch's scaled dot-product attention call another function, with the same masks.

    Args:
        model: Changed in place.
        name: What the function is registered as.
        function: Takes and returns what transformers' attention functions do.

    Returns:
        Whether the model calls it now; not where the model has an attention of its own.
    """
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, sdpa_mask)
    if model.config._attn_implementation == _SDPA:
        model.set_attn_implementation(name)
    return bool(model.config._attn_implementation == name)


def restore_attention(model: PreTrainedModel, name: str) -> None:
    """Undo `exchange_attention`."""
    if model.config._attn_implementation == name:
        model.set_attn_implementation(_SDPA)


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None, causal: bool, scale: float | None
) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp of torch's attention kernel for CPU."""
    output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, attn_mask=mask, scale=scale
    )
    return output, lse


def flash_attention_backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    *,
    mask: Tensor | None,
    causal: bool,
    scale: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value, given what `flash_attention` returned."""
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        gradient, query, key, value, output, lse, 0.0, causal, attn_mask=mask, scale=scale
    )
    return gradients


def has_onednn() -> bool:
    """Whether this build of torch has oneDNN's kernels."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def onednn_layout(matrix: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
    """A contiguous weight in the layout of oneDNN's kernels."""
    laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix, None)
    return laid_out


def onednn_product(
    x: Float[Tensor, "*rows in"], weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None = None
) -> Float[Tensor, "*rows out"]:
    """x Wᵀ + b by oneDNN, for a weight laid out, contiguous, or a contiguous one transposed."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product
