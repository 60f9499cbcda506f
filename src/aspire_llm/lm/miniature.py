"""A few layers of a model with random weights: what its layers cost can be measured before its weights are read."""

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from aspire_llm.config import RunConfig
from aspire_llm.lm.gguf import converted
from aspire_llm.lm.loading import chat_prompts, config_without_code, quiet_loading, resolve_device
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.model_files import find_model


def read_architecture(model: str | Path) -> tuple[PreTrainedConfig, PreTrainedTokenizerBase]:
    """The configuration and the tokenizer of a model; no weight is read, but a GGUF file is converted once.

    Raises:
        ModelError: They cannot be read, or need code of their own.
    """
    found = find_model(model)
    with quiet_loading(f"cannot read the configuration of {str(model)!r}"):
        if isinstance(found, Path) and found.is_file():
            found = converted(found)
        config_without_code(found, "model")
        return AutoConfig.from_pretrained(found), AutoTokenizer.from_pretrained(found, trust_remote_code=False)


def num_layers(architecture: PreTrainedConfig) -> int:
    """Decoder layers of a model."""
    count: int = architecture.get_text_config().num_hidden_layers
    return count


def miniature(
    architecture: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, layers: int, config: RunConfig
) -> Backbone:
    """The first layers of a model, its embeddings and its output matrix, with random weights, where a run computes.

    Args:
        architecture: Of the whole model.
        tokenizer: Of the model.
        layers: How many to keep, at most as many as there are.
        config: Of the run.
    """
    small = copy.deepcopy(architecture)
    text = small.get_text_config()
    whole = text.num_hidden_layers
    for key, value in list(vars(text).items()):
        if isinstance(value, list) and len(value) == whole:  # one entry per layer
            setattr(text, key, value[:layers])
    text.num_hidden_layers = layers
    chat = chat_prompts(config.model, tokenizer, config.prompts) if config.prompts.format == "chat" else None
    with torch.random.fork_rng(), quiet_loading(f"cannot plan for {config.model!r}"):
        model: Any = AutoModelForCausalLM.from_config(small, dtype=getattr(torch, config.dtype))
    return Backbone(model.to(resolve_device(config.device)), tokenizer, speed=config.speed, chat=chat)
