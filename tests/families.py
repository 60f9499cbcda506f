"""Tiny random models of the families that users ask for, and the table of them."""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
}
_HEADS = {"head_dim": 8}
_EXPERTS = {"num_experts_per_tok": 2}
_IMAGES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 28,
    "patch_size": 14,
}
_IMAGE_TOKENS = {"image_token_index": 3, "boi_token_index": 4, "eoi_token_index": 5}


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models.

    Attributes:
        name: What users call it.
        model_type: What transformers calls it.
        changes: To the sizes of a tiny model.
        sizes: Those of a tiny model, where the family has other names for them.
        reads_images: Whether it has layers for images beside its text decoder, which the others are of then.
    """

    name: str
    model_type: str
    changes: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=lambda: _SIZES)
    reads_images: bool = False

    def model(self, vocab_size: int) -> PreTrainedModel:
        """Random weights, wide enough apart that no two beams tie."""
        torch.manual_seed(0)
        tokens = {"vocab_size": vocab_size, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
        own = {**self.sizes, "initializer_range": 0.3, **tokens, **self.changes}
        if self.reads_images:
            own = {"text_config": own, "vision_config": _IMAGES, **_IMAGE_TOKENS}
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(self.model_type, **own))


_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
_OPT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 48,
    "max_position_embeddings": 256,
    "word_embed_proj_dim": 32,
    "dropout": 0.0,
}
_SLIDING = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
FAMILIES = (
    Family("GPT-2", "gpt2", sizes=_GPT2),
    Family("OPT 125M, 1.3B to 66B", "opt", sizes=_OPT),
    Family("OPT-350M", "opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16}, _OPT),
    Family("Pythia, GPT-NeoX", "gpt_neox"),
    Family("Llama 2, Llama 3.x, SmolLM2, TinyLlama", "llama"),
    Family("SmolLM3", "smollm3", {"no_rope_layers": [1, 0]}),
    Family("Mistral", "mistral", {"sliding_window": 8, **_HEADS}),
    Family("Mixtral (MoE)", "mixtral", {"num_local_experts": 4, **_EXPERTS}),
    Family("Qwen2, Qwen2.5", "qwen2"),
    Family("Qwen3", "qwen3", _HEADS),
    Family("Qwen3 MoE", "qwen3_moe", {"num_experts": 4, "moe_intermediate_size": 16, **_HEADS, **_EXPERTS}),
    Family("Gemma 2", "gemma2", {**_SLIDING, **_HEADS}),
    Family("Gemma 3 270M, 1B", "gemma3_text", {**_SLIDING, **_HEADS}),
    Family("Gemma 3 4B to 27B (as text)", "gemma3", {**_SLIDING, **_HEADS}, reads_images=True),
    Family("Phi-2", "phi"),
    Family("Phi-3, Phi-4", "phi3"),
    Family("OLMo 2", "olmo2"),
    Family("OLMoE (MoE)", "olmoe", {"num_experts": 4, **_EXPERTS}),
    Family("Granite", "granite"),
    Family("GPT-OSS (MoE)", "gpt_oss", {"num_local_experts": 4, **_SLIDING, **_HEADS, **_EXPERTS}),
    Family("StarCoder2", "starcoder2"),
    Family("Cohere Command R", "cohere"),
)
