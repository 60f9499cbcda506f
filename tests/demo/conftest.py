"""The world and the model of the demonstration, loaded once."""

from collections.abc import Iterator

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from aspire_llm.demo import DEMO_SEED, MODEL_DIR
from aspire_llm.demo.world import World, build_world


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost such a small model more time than they save, by far on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
