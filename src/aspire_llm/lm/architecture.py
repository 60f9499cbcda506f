"""What a model can do, as its configuration and its signature tell; and what is refused."""

import inspect
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from aspire_llm.errors import ModelError
from aspire_llm.lm.quantization import rounding, rounds_activations
from aspire_llm.lm.upstream import execution_device, is_stateful

_REQUIRED_ARGUMENTS = ("inputs_embeds", "attention_mask", "logits_to_keep")
_CACHE_ARGUMENTS = ("past_key_values", "cache_params")  # what attention and what recurrent models call their state
_MASKED_LAYERS = {"full_attention", "sliding_attention"}
_STRETCHED = ("longrope", "dynamic")  # whose frequencies depend on the longest sequence of a pass

_logger = logging.getLogger(__name__)


def text_decoder(model: PreTrainedModel) -> nn.Module:
    """The part of a model that reads text; beside it there may be others, for images or sounds."""
    decoder: nn.Module = model.get_decoder()
    return decoder


def window(model: PreTrainedModel) -> int:
    """Most positions that a model can read, each alike whatever else is in a pass."""
    config = model.config.get_text_config()
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len")]
    most = min((limit for limit in limits if limit), default=2**30)
    alike = min(_stretched_from(getattr(config, "rope_parameters", None) or {}), default=most)
    if alike < most:
        _logger.warning(
            "%r models turn positions by the longest sequence of a pass beyond %d tokens: longer is cut",
            model.config.model_type,
            alike,
        )
    return min(most, alike)


def _stretched_from(rope: Mapping[str, Any]) -> list[int]:
    """From how many positions on the frequencies of rotary embeddings change; `rope` may hold them by type of layer."""
    each = [rope] if "rope_type" in rope else [own for own in rope.values() if isinstance(own, Mapping)]
    found = [own.get("original_max_position_embeddings") for own in each if own.get("rope_type") in _STRETCHED]
    return [int(limit) for limit in found if limit]


def sliding_window(model: PreTrainedModel) -> int | None:
    """How many positions the sliding layers look back over, their own included; None where no layer slides."""
    config, layers = model.config.get_text_config(), layer_types(model)
    slides = "sliding_attention" in layers if layers else getattr(config, "use_sliding_window", True)
    return (getattr(config, "sliding_window", None) or None) if slides else None


def layer_types(model: PreTrainedModel) -> set[str]:
    """The types of a model's layers; empty where it tells none."""
    return set(getattr(model.config.get_text_config(), "layer_types", None) or ())


def cache_argument(model: PreTrainedModel) -> str:
    """What a model calls the state of what it has read; empty where it takes none."""
    arguments = inspect.signature(model.forward).parameters
    return next((name for name in _CACHE_ARGUMENTS if name in arguments), "")


def takes_positions(model: PreTrainedModel) -> bool:
    """Whether the positions of a pass can be given."""
    return "position_ids" in inspect.signature(model.forward).parameters


def why_not_shared(model: PreTrainedModel) -> str | None:
    """What keeps branches from sharing a stored prefix under a mask, as the rest of "such models …"; None: nothing."""
    config = model.config.get_text_config()
    if getattr(config, "num_kv_shared_layers", 0):
        return "have layers without keys of their own"
    if others := layer_types(model) - _MASKED_LAYERS:
        return f"have layers of type {', '.join(sorted(others))}"
    if is_stateful(model) or cache_argument(model) != _CACHE_ARGUMENTS[0]:
        return "are recurrent"
    if getattr(config, "alibi", False) or not takes_positions(model):
        return "do not take positions"
    if "local" in getattr(config, "attention_layers", ()):
        return "mask some layers by themselves"
    return None


def check_supported(model: PreTrainedModel) -> None:
    """Refuse what is no decoder of embeddings.

    Raises:
        ModelError: With what the model lacks.
    """
    kind = model.config.model_type
    arguments = inspect.signature(model.forward).parameters
    if missing := [name for name in _REQUIRED_ARGUMENTS if name not in arguments]:
        raise ModelError(f"models of type {kind!r} take no {', '.join(missing)}; a decoder of embeddings is needed")
    if not cache_argument(model):
        raise ModelError(f"models of type {kind!r} take no {' or '.join(_CACHE_ARGUMENTS)}; a decoder is needed")
    if getattr(model.config, "is_encoder_decoder", False):
        raise ModelError(f"models of type {kind!r} are encoder-decoders; a decoder-only model is needed")
    if not isinstance(model.get_input_embeddings(), nn.Embedding):
        raise ModelError(f"models of type {kind!r} have no token embedding matrix; a text decoder is needed")


@torch.no_grad()
def check_reading(model: PreTrainedModel) -> None:
    """Refuse models that read embeddings otherwise than ids, that see what comes later, or that compute no numbers.

    Raises:
        ModelError: The model's logits say so.
    """
    token_ids = torch.arange(4, device=execution_device(model.get_input_embeddings()))[None]
    kind = model.config.model_type
    # In eight bits what comes later decides how activations are rounded; otherwise nothing here changes any rounding.
    tolerance = rounding(model) if rounds_activations(model) else 1e-3
    expected = model(input_ids=token_ids, use_cache=False).logits
    if not expected.isfinite().all():
        raise ModelError(f"the weights of this {kind!r} model give logits that are not finite; get the model again")
    logits = model(inputs_embeds=model.get_input_embeddings()(token_ids), use_cache=False).logits
    if (logits - expected).abs().max() > 1e-3 * expected.abs().max():
        raise ModelError(f"models of type {kind!r} read token embeddings otherwise than tokens; use another")
    other_end = torch.cat([token_ids[:, :-1], token_ids[:, :1]], dim=1)
    logits = model(input_ids=other_end, use_cache=False).logits
    if (logits - expected)[:, :-1].abs().max() > tolerance * expected.abs().max():
        raise ModelError(f"this {kind!r} model sees tokens that come later (a masked LM); a causal one is needed")


@torch.no_grad()
def check_reads_between_tokens(model: PreTrainedModel) -> None:
    """Refuse models that look up which token an embedding is of, which is none once a soft prompt has learned.

    Raises:
        ModelError: It cannot read an embedding between those of two tokens.
    """
    token_ids = torch.arange(4, device=execution_device(model.get_input_embeddings()))[None]
    embeddings = model.get_input_embeddings()(token_ids)
    try:
        model(inputs_embeds=(embeddings + embeddings.flip(1)) / 2, use_cache=False)
    except (RuntimeError, ValueError) as error:
        kind = model.config.model_type
        raise ModelError(f"models of type {kind!r} read embeddings of tokens alone; use adapter: lora") from error
