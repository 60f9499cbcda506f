"""Adapters change what they should and nothing else, and survive the disk."""

from pathlib import Path

import pytest
import torch
from conftest import tiny_model
from peft import PeftModel
from reference import encoder_of, full_forward, sequence_embeddings, soft_prompt
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import RunDirectoryError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter, save_adapter
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, Adapter, SoftPrompt, new_adapter, num_soft_tokens
from aspire_llm.lm.model import Backbone
from aspire_llm.records import Question

PROMPTS = [Question("0", "Where?"), Question("1", "Where was the old piano built?")]


def first_logits(model: AdaptedModel) -> torch.Tensor:
    return model.read([encoder_of(model.backbone).prompt(question) for question in PROMPTS])[2]


def test_without_adapters_the_logits_are_the_base_model_s(backbone: Backbone) -> None:
    prompts = [encoder_of(backbone).prompt(question) for question in PROMPTS]
    logits = first_logits(AdaptedModel(backbone))
    for row, prompt in zip(logits, prompts, strict=True):
        expected = backbone.model(torch.tensor([prompt.token_ids])).logits[0, -1]
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing(backbone: Backbone) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone))
    for row, question in zip(first_logits(model), PROMPTS, strict=True):
        prompt = encoder_of(backbone).prompt(question)
        expected = full_forward(model, sequence_embeddings(model, prompt))[-1]
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["soft_prompt", "lora"])
def test_saved_and_loaded_it_is_the_same(backbone: Backbone, kind: str, tmp_path: Path) -> None:
    config = TrainingConfig(adapter=kind, num_soft_tokens=4, lora_rank=2)
    adapter = new_adapter(backbone, TASK, config, seed=0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    before = first_logits(AdaptedModel(backbone, adapter))
    save_adapter(adapter, tmp_path)
    untouched = new_adapter(backbone, TASK, config, seed=0)
    assert not torch.equal(first_logits(AdaptedModel(backbone, untouched)), before)
    assert torch.equal(first_logits(AdaptedModel(backbone, load_adapter(backbone, TASK, tmp_path))), before)


def test_lora_starts_as_the_base_model_and_leaves_it_when_inactive(backbone: Backbone) -> None:
    base = first_logits(AdaptedModel(backbone))
    adapter = new_adapter(backbone, TASK, TrainingConfig(adapter="lora"), seed=0)
    assert torch.equal(first_logits(AdaptedModel(backbone, adapter)), base)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn_like(parameter))
    assert not torch.equal(first_logits(AdaptedModel(backbone, adapter)), base)
    assert torch.equal(first_logits(AdaptedModel(backbone)), base)


@pytest.mark.parametrize("kinds", [("soft_prompt", "soft_prompt"), ("lora", "soft_prompt"), ("lora", "lora")])
def test_positions_are_counted_as_they_are_read(llama: Backbone, kinds: tuple[str, str]) -> None:
    configs = [TrainingConfig(adapter=kind, num_soft_tokens=7) for kind in kinds]
    adapters = [new_adapter(llama, name, c, seed=0) for name, c in zip((TASK, SELF_EVALUATION), configs, strict=True)]
    assert num_soft_tokens(llama, *configs) == tuple(len(adapter.soft_tokens()) for adapter in adapters)


def test_initial_soft_tokens_are_vocabulary_embeddings(llama: Backbone) -> None:
    embeddings = SoftPrompt.initialise(llama, 6, seed=0).prompt_embeddings
    vocabulary = llama.model.get_input_embeddings().weight
    assert all((vocabulary == row).all(dim=-1).any() for row in embeddings)
    assert not torch.equal(embeddings, SoftPrompt.initialise(llama, 6, seed=1).prompt_embeddings)


def test_a_soft_prompt_loads_in_peft(llama: Backbone, tmp_path: Path) -> None:
    adapter = soft_prompt(llama)
    model = AdaptedModel(llama, adapter)
    prompt = encoder_of(llama).prompt(PROMPTS[0])
    expected = full_forward(model, sequence_embeddings(model, prompt))[-1]
    save_adapter(adapter, tmp_path)
    theirs = PeftModel.from_pretrained(llama.model, tmp_path)
    logits = theirs(torch.tensor([prompt.token_ids])).logits[0, -1]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def lora(backbone: Backbone) -> Adapter:
    """θp that changes something."""
    adapter = new_adapter(backbone, TASK, TrainingConfig(adapter="lora", lora_rank=2), seed=0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    return adapter


def test_lora_loads_in_peft(
    backbone: Backbone, lora: Adapter, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    prompt = encoder_of(backbone).prompt(PROMPTS[0])
    expected = first_logits(AdaptedModel(backbone, lora))[0]
    save_adapter(lora, tmp_path)
    fresh = tiny_model(backbone.model.config.model_type, len(tokenizer)).eval()
    theirs = PeftModel.from_pretrained(fresh, tmp_path)
    logits = theirs(input_ids=torch.tensor([prompt.token_ids])).logits[0, -1]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_lora_of_earlier_versions_is_read(backbone: Backbone, lora: Adapter, tmp_path: Path) -> None:
    before = first_logits(AdaptedModel(backbone, lora))
    save_adapter(lora, tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    save_file({key.removeprefix("base_model.model."): own for key, own in load_file(weights).items()}, weights)
    assert torch.equal(first_logits(AdaptedModel(backbone, load_adapter(backbone, TASK, tmp_path))), before)


def test_adapters_of_two_runs_on_one_model_do_not_meet(backbone: Backbone, lora: Adapter, tmp_path: Path) -> None:
    before = first_logits(AdaptedModel(backbone, lora))
    save_adapter(lora, tmp_path)
    with torch.no_grad():
        for parameter in lora.parameters():
            parameter.mul_(2)
    after = first_logits(AdaptedModel(backbone, lora))
    other = load_adapter(backbone, TASK, tmp_path, of="_2")
    assert torch.equal(first_logits(AdaptedModel(backbone, other)), before)
    assert torch.equal(first_logits(AdaptedModel(backbone, lora)), after)
    assert not torch.equal(before, after)


def test_a_broken_folder_and_another_model(llama: Backbone, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="not a complete adapter folder"):
        load_adapter(llama, SELF_EVALUATION, tmp_path)
    save_adapter(SoftPrompt(llama, torch.zeros(3, llama.width + 1)), tmp_path)
    with pytest.raises(RunDirectoryError, match="soft tokens of width 33, but the model's embeddings are 32 wide"):
        load_adapter(llama, SELF_EVALUATION, tmp_path)
