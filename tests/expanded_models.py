"""Tiny random models whose branches cannot share a prefix: ALiBi, recurrent, hybrid, and masks of their own."""

import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    GPTNeoConfig,
    JambaConfig,
    Lfm2Config,
    MambaConfig,
    MptConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3NextConfig,
)

EXPANDED = ["bloom", "mpt", "falcon", "mamba", "jamba", "qwen3_next", "lfm2", "gpt_neo"]
_ATTENTION = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}


def _config(architecture: str, **common: object) -> PreTrainedConfig:
    match architecture:
        case "bloom":
            return BloomConfig(hidden_size=32, n_layer=2, n_head=4, **common)
        case "mpt":
            return MptConfig(d_model=32, n_heads=4, n_layers=2, expansion_ratio=2, max_seq_len=256, **common)
        case "falcon":
            return FalconConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True, **common)
        case "mamba":
            return MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4, **common)
        case "jamba":
            layers = {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "num_hidden_layers": 2}
            return JambaConfig(hidden_size=32, mamba_d_state=4, mamba_dt_rank=4, **layers, **_ATTENTION, **common)
        case "qwen3_next":
            linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8}
            experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
            return Qwen3NextConfig(
                hidden_size=32,
                num_hidden_layers=2,
                layer_types=["linear_attention", "full_attention"],
                head_dim=8,
                linear_value_head_dim=8,
                shared_expert_intermediate_size=16,
                **linear,
                **experts,
                **_ATTENTION,
                **common,
            )
        case "lfm2":
            layer_types = ["conv", "full_attention", "conv"]
            return Lfm2Config(hidden_size=32, num_hidden_layers=3, layer_types=layer_types, **_ATTENTION, **common)
        case _:
            types = [[["global", "local"], 1]]
            return GPTNeoConfig(
                hidden_size=32, num_layers=2, num_heads=4, attention_types=types, window_size=16, **common
            )


def expanded_model(architecture: str, vocab_size: int) -> PreTrainedModel:
    """Weights wide enough apart that no two beams tie."""
    torch.manual_seed(0)
    tokens = {"vocab_size": vocab_size, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    return AutoModelForCausalLM.from_config(_config(architecture, initializer_range=0.3, **tokens))
