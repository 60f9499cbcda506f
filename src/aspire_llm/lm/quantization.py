"""Bases whose linear layers are held in 8 or 4 bits: which package packs them, and what has to be minded then.

What is packed stays frozen, and adapters beside it are float32. Gradients pass through packed layers to soft tokens and
to LoRA, so every kernel that is used here must have one.
"""

import logging
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel, TorchAoConfig

from aspire_llm.errors import ModelError
from aspire_llm.lm.upstream import keep_gradients

Bits: TypeAlias = Literal["8bit", "4bit"]

# torchao's layouts of four bits need packages and kernels of CUDA, and peft has no LoRA for them; the one for CPUs
# takes eight bits a weight.
_LIBRARIES: dict[Bits, tuple[str, ...]] = {"8bit": ("bitsandbytes", "torchao"), "4bit": ("bitsandbytes",)}

_logger = logging.getLogger(__name__)


def library_for(bits: Bits) -> str:
    """The package that packs weights here: bitsandbytes where it is installed, else, for 8 bits, torchao.

    Raises:
        ModelError: Neither is installed.
    """
    for library in _LIBRARIES[bits]:
        if find_spec(library) is not None:
            return library
    raise ModelError(f"quantization {bits} needs a package; pip install 'aspire-llm[quantized]' (bitsandbytes)")


def settings_for(name: str, config: Mapping[str, Any], bits: Bits | None, dtype: torch.dtype) -> dict[str, Any]:
    """What `from_pretrained` takes so that weights are packed; nothing where they are not to be, or are already.

    Args:
        name: What messages call the model.
        config: Its config.json.
        bits: Of a weight.
        dtype: That products are computed in.

    Raises:
        ModelError: See `library_for`; or its weights are packed already.
    """
    if bits is None:
        return {}
    if "quantization_config" in config:
        raise ModelError(f"{name}: its weights are quantised already; leave quantization out")
    if library_for(bits) == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig

        return {"quantization_config": TorchAoConfig(Int8WeightOnlyConfig())}
    settings = BitsAndBytesConfig(
        load_in_8bit=bits == "8bit",
        load_in_4bit=bits == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": settings}


def finish(model: PreTrainedModel, name: str) -> None:
    """Make a quantised model, in place, one that gradients pass through, and say what packed it.

    Args:
        model: As transformers loaded it.
        name: What messages call it.

    Raises:
        ModelError: No layer of it was packed.
    """
    if not any(is_packed(parameter) for parameter in model.parameters()):
        kind = model.config.model_type
        raise ModelError(
            f"{name}: {quantised_by(model)} packs no layer of {kind!r} models; pip install bitsandbytes, or leave "
            "quantization out"
        )
    # It would say at every product that eight bits take float16.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    keep_gradients(model)
    _logger.warning("%s: linear layers held by %s", name, quantised_by(model))


def quantised_by(model: PreTrainedModel) -> str | None:
    """The package, its version and the form of a model's packed weights, in words; None where none are."""
    settings = getattr(model.config, "quantization_config", None)
    if settings is None:
        return None
    method = str(getattr(settings.quant_method, "value", settings.quant_method))
    try:
        version = f" {metadata.version(method)}"
    except metadata.PackageNotFoundError:  # methods that are no package
        version = ""
    if getattr(settings, "load_in_4bit", False):
        form = f", 4bit {settings.bnb_4bit_quant_type}"
    elif getattr(settings, "load_in_8bit", False):
        form = ", 8bit"
    else:
        form = f", {type(settings.quant_type).__name__}" if hasattr(settings, "quant_type") else ""
    return f"{method}{version}{form}"


def is_packed(parameter: nn.Parameter) -> bool:
    """Whether a weight is held by a package of this module's, whatever type it says it has."""
    return type(parameter) is not nn.Parameter


def num_weights(parameter: nn.Parameter) -> int:
    """How many weights a parameter holds; two share a byte in four bits."""
    state = getattr(parameter, "quant_state", None)
    return int(parameter.numel() if state is None else state.shape.numel())


def rounds_activations(model: PreTrainedModel) -> bool:
    """Whether products round what they are given, too, as eight bits of bitsandbytes do.

    Which columns are left out of that depends on all rows of a product, so that it matters what is read together.
    """
    return bool(getattr(getattr(model.config, "quantization_config", None), "load_in_8bit", False))


def rounding(model: PreTrainedModel) -> float:
    """By what share of the largest logit two ways to compute the same may differ."""
    dtype = model.get_input_embeddings().weight.dtype
    return 1e-3 if dtype in (torch.float32, torch.float64) and not rounds_activations(model) else 0.1
