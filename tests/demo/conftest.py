"""The world and the model of the demonstration, loaded once."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from aspire_llm.demo import DEMO_SEED, MODEL_DIR
from aspire_llm.demo.world import World, build_world


@pytest.fixture(scope="session")
def world() -> World:
    return build_world(DEMO_SEED)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(MODEL_DIR, local_files_only=True)


@pytest.fixture(scope="session")
def model() -> LlamaForCausalLM:
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR, local_files_only=True)
    assert model.dtype is torch.float32
    return model.eval()
