"""All that is private, young or undocumented in transformers, torch and peft and yet used here.

No other module imports these names, and `tests/lm/test_upstream.py` says of each what is relied on: a new version of a
library that breaks one fails there by name. The versions that pass are the ceilings in pyproject.toml.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora.layer import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
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
    "LoraLinear",
    "NewGELUActivation",
    "activate_adapters",
    "active_adapters",
    "compile_chat_template",
    "exchange_attention",
    "execution_device",
    "execution_devices",
    "flash_attention",
    "flash_attention_backward",
    "get_peft_model_state_dict",
    "get_tokenizer_config",
    "has_onednn",
    "has_tensor_plan",
    "is_stateful",
    "keep_gradients",
    "leave_in_place",
    "onednn_layout",
    "onednn_product",
    "restore_attention",
    "sdpa_attention_forward",
    "set_peft_model_state_dict",
    "standing_in",
    "tied_names",
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


def tied_names(model: PreTrainedModel) -> set[str]:
    """The names of weights that are others' under a second name."""
    return set(getattr(model, "all_tied_weights_keys", None) or {})


def execution_device(module: nn.Module) -> torch.device | None:
    """Where a module computes: where accelerate's hook brings its weights, else where they are; None without any."""
    for hook in _hooks(module):
        if getattr(hook, "execution_device", None) is not None:
            return torch.device(hook.execution_device)
    return next((parameter.device for parameter in module.parameters(recurse=False)), None)


def execution_devices(model: nn.Module) -> set[torch.device]:
    """Where the modules of a model compute that have weights of their own."""
    owners = (module for module in model.modules() if any(True for _ in module.parameters(recurse=False)))
    return {device for module in owners if (device := execution_device(module)) is not None}


def leave_in_place(model: nn.Module, argument: str) -> None:
    """Have accelerate's hook of a whole model, if it has one, pass an argument on without moving it."""
    for hook in _hooks(model):
        keys = getattr(hook, "skip_keys", None) or []
        hook.skip_keys = [*([keys] if isinstance(keys, str) else keys), argument]


def _hooks(module: nn.Module) -> list[Any]:
    hook = getattr(module, "_hf_hook", None)
    return [] if hook is None else list(getattr(hook, "hooks", [hook]))


def active_adapters(layer: BaseTunerLayer) -> list[str]:
    """The adapters that a layer's forward uses."""
    return [] if layer.disable_adapters else list(layer.active_adapters)


def activate_adapters(layers: Sequence[BaseTunerLayer], names: list[str]) -> None:
    """Have the forward of layers use exactly these adapters; what learns stays as it is.

    peft's own way sets of every parameter whether it learns, which takes as long as a pass of few tokens.
    """
    for layer in layers:
        layer._active_adapter = names
        layer._disable_adapters = not names


@contextmanager
def standing_in(model: nn.Module) -> Iterator[None]:
    """Within, weights that accelerate's hooks bring have stand-ins, without memory, where they are brought.

    peft puts the tensors of an adapter where those of its layer are; left alone, on no device at all.
    """
    away = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.is_meta
    ]
    try:
        for module, name, parameter in away:
            one = torch.empty(1, dtype=parameter.dtype, device=execution_device(module))
            module._parameters[name] = nn.Parameter(one.expand(parameter.shape), requires_grad=False)
        yield
    finally:
        for module, name, parameter in away:
            module._parameters[name] = parameter


def keep_gradients(model: nn.Module) -> None:
    """Keep bitsandbytes from a layout of four-bit weights, on CPUs with bfloat16, whose product has no gradient.

    Its layers take it at their first pass without gradient; from then on gradients would be lost without an error, and
    activations rounded to bfloat16.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 no attribute that types know
