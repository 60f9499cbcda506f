"""Adapters in files: `adapter_model.safetensors` and `adapter_config.json`, as peft reads them."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from aspire_llm.errors import RunDirectoryError, first_line
from aspire_llm.lm.adapters import OF_PEFT, Adapter, LoraAdapter, SoftPrompt, frozen
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tensor_file import write_tensors
from aspire_llm.lm.upstream import set_peft_model_state_dict

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
# What a stored adapter may say of itself; of the other settings of peft, some import what they name.
_LORA_SETTINGS = (
    *("r", "lora_alpha", "target_modules", "target_parameters", "exclude_modules", "rank_pattern", "alpha_pattern"),
    *("fan_in_fan_out", "use_rslora", "base_model_name_or_path", "inference_mode"),
)


def save_adapter(adapter: Adapter, folder: Path) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json` into a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / _WEIGHTS, adapter.state())
    (folder / _CONFIG).write_text(json.dumps(adapter.config(), indent=2) + "\n", encoding="utf-8")


def load_adapter(backbone: Backbone, name: str, folder: Path, *, of: str = "") -> Adapter:
    """Read an adapter that `save_adapter` wrote.

    Args:
        backbone: To use it with.
        name: `TASK` (θp) or `SELF_EVALUATION` (θs).
        folder: That holds it.
        of: Tells adapters of this name apart where several runs share the backbone: without, the last one read is
            the one that the backbone has.

    Raises:
        RunDirectoryError: The folder lacks a file, a file is broken, or the adapter belongs to another model.
    """
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        state = load_file(folder / _WEIGHTS)
        is_lora = config["peft_type"] == "LORA"
    except (OSError, ValueError, LookupError, TypeError, RecursionError, SafetensorError) as error:
        raise RunDirectoryError(f"{folder}: not a complete adapter folder ({error}); train it again") from error
    if is_lora:
        try:
            return frozen(_lora(backbone, name, config, state, of=of))
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:  # whatever peft may say
            reason = first_line(error)
            raise RunDirectoryError(f"{folder}: no LoRA of this model ({reason}); train it again") from error
    embeddings = state.get("prompt_embeddings", torch.empty(0, 0))
    if embeddings.shape[-1] != backbone.width:
        raise RunDirectoryError(
            f"{folder}: soft tokens of width {embeddings.shape[-1]}, but the model's embeddings are {backbone.width} "
            "wide; load the model that the adapter was trained on"
        )
    return frozen(SoftPrompt(backbone, embeddings))


def _lora(backbone: Backbone, name: str, config: dict[str, Any], state: dict[str, Tensor], *, of: str) -> LoraAdapter:
    """A LoRA adapter of stored tensors, all of which it must have a place for, and no place for others.

    Raises:
        ValueError: It is another model's, or settings and tensors do not fit each other.
    """
    own = {key.removeprefix(OF_PEFT): tensor for key, tensor in state.items()}
    ranks = {tensor.shape[0] for key, tensor in own.items() if "lora_A" in key}
    if not ranks or config["r"] not in ranks:  # which is known before anything of that size is made
        raise ValueError(f"r is {config['r']}, its tensors are of rank {', '.join(map(str, sorted(ranks))) or 'none'}")
    lora_config = LoraConfig(**{key: value for key, value in config.items() if key in _LORA_SETTINGS})
    adapter = LoraAdapter(backbone, name, lora_config, of=of)
    found = set_peft_model_state_dict(backbone.model, own, adapter_name=f"{name}{of}")
    lacking = [key for key in found.missing_keys if "lora_" in key and f".{name}{of}." in key]
    if wrong := [*lacking, *found.unexpected_keys]:
        raise ValueError(f"{len(wrong)} tensors are missing or too many, first {wrong[0]}")
    return adapter
