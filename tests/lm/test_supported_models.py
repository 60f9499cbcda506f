"""Which models run, what is said of those that cost more, and what is refused."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from expanded_models import expanded_model
from families import FAMILIES, Family
from reference import encoder_of
from stored import given
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForCausalLM,
    FalconH1Config,
    FalconH1ForCausalLM,
    Gemma3nForCausalLM,
    Gemma3nTextConfig,
    PreTrainedTokenizerFast,
    RecurrentGemmaConfig,
    RwkvConfig,
    RwkvForCausalLM,
)

from aspire_llm import SelectivePredictor, run
from aspire_llm.config import RunConfig, TrainingConfig
from aspire_llm.config_files import parse_config
from aspire_llm.errors import ModelError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import TASK, new_adapter
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.records import Question


def encoded(token_ids: list[int]) -> EncodedPrompt:
    own = Question("0", "?")
    return EncodedPrompt(own, own, "?", tuple(token_ids))


def prompt_of(backbone: Backbone) -> EncodedPrompt:
    return encoder_of(backbone).prompt(Question("0", "Where?"))


def test_layers_that_peft_cannot_change(tokenizer: PreTrainedTokenizerFast) -> None:
    mamba = Backbone(expanded_model("mamba", len(tokenizer)), tokenizer)
    with pytest.raises(ModelError, match="no LoRA for 'mamba' models"):
        new_adapter(mamba, TASK, TrainingConfig(adapter="lora"), seed=0)


def test_one_warning_says_what_is_done_instead(
    tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="aspire_llm"):
        backbone = Backbone(expanded_model("bloom", len(tokenizer)), tokenizer)
        for _ in range(2):
            beam_search(AdaptedModel(backbone), [prompt_of(backbone)], num_beams=2, max_new_tokens=2)
    own = [record.getMessage() for record in caplog.records if record.name.startswith("aspire_llm")]
    assert own == ["'bloom' models do not take positions: every branch is computed by itself, which takes longer"]


_LONG = {"original_max_position_embeddings": 64, "rope_theta": 10000.0}
_STRETCHED = {
    "phi3": {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0], **_LONG},
    "llama": {"rope_type": "dynamic", "factor": 4.0, **_LONG},
}


@pytest.mark.parametrize("kind", _STRETCHED)
def test_positions_that_depend_on_what_else_is_read_are_not_used(
    kind: str, tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture
) -> None:
    family = next(own for own in FAMILIES if own.model_type == kind)
    changes = {"rope_parameters": _STRETCHED[kind], "original_max_position_embeddings": 64}
    with caplog.at_level(logging.WARNING, logger="aspire_llm"):
        backbone = Backbone(replace(family, changes=changes).model(len(tokenizer)), tokenizer)
    assert backbone.model.config.max_position_embeddings == 256
    assert backbone.window == 64
    own = [record.getMessage() for record in caplog.records if record.name.startswith("aspire_llm")]
    assert own == [f"{kind!r} models turn positions by the longest sequence of a pass beyond 64 tokens: longer is cut"]
    longest, short = torch.randint(1, 200, (2, 64)).tolist()
    own = AdaptedModel(backbone)
    prompts = [encoded(tokens) for tokens in (longest, short[:9])]
    together, alone = own.read(prompts)[2], [own.read([prompt])[2] for prompt in prompts]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_what_looks_up_tokens_learns_no_soft_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    sizes = {"vocab_size_per_layer_input": len(tokenizer), "hidden_size_per_layer_input": 8, "global_head_dim": 16}
    layers = {"head_dim": 8, "sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}
    backbone = Backbone(Family("Gemma 4", "gemma4_text", {**sizes, **layers}).model(len(tokenizer)), tokenizer)
    with pytest.raises(ModelError, match="'gemma4_text' read embeddings of tokens alone; use adapter: lora"):
        new_adapter(backbone, TASK, TrainingConfig(), seed=0)
    new_adapter(backbone, TASK, TrainingConfig(adapter="lora"), seed=0)


def test_what_remains_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ModelError, match="'rwkv' take no past_key_values or cache_params"):
        Backbone(RwkvForCausalLM(RwkvConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2)), tokenizer)
    sizes = {"d_model": 32, "decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 32}
    bart = Backbone(BartForCausalLM(BartConfig(vocab_size=320, **sizes)), tokenizer)
    with pytest.raises(ModelError, match="'bart' models read padded prompts"):
        AdaptedModel(bart).read([prompt_of(bart)])


def test_embeddings_that_only_ids_get_scaled(tokenizer: PreTrainedTokenizerFast) -> None:
    """Falcon-H1 multiplies what it looks up by ids and nothing else: soft tokens would be read at another scale."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    mamba = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 4, "mamba_n_groups": 1}
    config = {"vocab_size": len(tokenizer), "num_key_value_heads": 2, **sizes, **mamba}
    for multiplier in (1.0, 5.65):
        model = FalconH1ForCausalLM(FalconH1Config(embedding_multiplier=multiplier, **config))
        if multiplier == 1.0:
            Backbone(model, tokenizer)
        else:
            with pytest.raises(ModelError, match="'falcon_h1' read token embeddings otherwise than tokens"):
                Backbone(model, tokenizer)


def test_layers_that_share_keys_take_branches_apart(tokenizer: PreTrainedTokenizerFast) -> None:
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "head_dim": 8,
    }
    own = {"num_key_value_heads": 2, "vocab_size_per_layer_input": len(tokenizer), "hidden_size_per_layer_input": 8}
    types = {"layer_types": ["full_attention"] * 4, "laurel_rank": 4, "activation_sparsity_pattern": [0.0] * 4}
    config = Gemma3nTextConfig(vocab_size=len(tokenizer), num_kv_shared_layers=2, **sizes, **own, **types)
    backbone = Backbone(Gemma3nForCausalLM(config), tokenizer)  # its output scale is 0 at first: ids are no matter
    assert not backbone.shares_prefixes
    (found,) = beam_search(AdaptedModel(backbone), [prompt_of(backbone)], num_beams=2, max_new_tokens=4).hypotheses
    assert len(found) == 2
    with torch.no_grad():
        for layer in backbone.model.model.layers:
            layer.altup.correct_output_scale.fill_(1.0)
    with pytest.raises(ModelError, match="read token embeddings otherwise than tokens"):
        Backbone(backbone.model, tokenizer)


def settings(folder: Path, data_file: Path) -> RunConfig:
    training = {"num_soft_tokens": 4, "learning_rate": 0.03, "epochs": 1}
    splits = {"train": 16, "validation": 8, "calibration": 8, "test": 8}
    return parse_config(
        {
            "model": str(folder),
            "data": {"path": str(data_file), "splits": splits},
            "stage1": training,
            "stage2": {"num_beams": 3, "max_new_tokens": 5, "batch_size": 4},
            "stage3": training,
        }
    )


@pytest.mark.parametrize("architecture", ["bloom", "mamba"])
def test_a_run_completes(
    architecture: str, tokenizer: PreTrainedTokenizerFast, data_file: Path, tmp_path: Path
) -> None:
    expanded_model(architecture, len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    metrics = run(settings(tmp_path / "model", data_file), tmp_path / "run")
    assert metrics.n == 8
    stored = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    (asked,) = SelectivePredictor.load(tmp_path / "run").predict([stored[0]["question"]])
    assert asked.scored.answer.text == given(stored[0])
    assert asked.scored.selection_score == pytest.approx(stored[0]["selection_score"], abs=1e-4)


def test_lora_that_peft_refuses_is_refused_before_anything_is_written(
    tokenizer: PreTrainedTokenizerFast, data_file: Path, tmp_path: Path
) -> None:
    expanded_model("mamba", len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    own = settings(tmp_path / "model", data_file).model_dump(mode="json")
    config = parse_config({**own, "stage3": {**own["stage3"], "adapter": "lora"}})
    with pytest.raises(ModelError, match="no LoRA for 'mamba' models"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_refused_leaves_nothing(
    tokenizer: PreTrainedTokenizerFast, data_file: Path, tmp_path: Path
) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 96, "lru_width": 32, "num_attention_heads": 4}
    config = RecurrentGemmaConfig(vocab_size=len(tokenizer), num_hidden_layers=3, attention_window_size=16, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="'recurrent_gemma' models read padded prompts"):
        run(settings(tmp_path / "model", data_file), tmp_path / "run")
    assert not (tmp_path / "run").exists()
