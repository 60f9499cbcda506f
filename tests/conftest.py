"""Tiny random models of the three position schemes (learned, learned with offset, rotary with grouped queries)."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from aspire_llm import run
from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config
from aspire_llm.lm.model import Backbone, Speed

WINDOW = 256
SHARED = Path(__file__).resolve().parents[2] / "shared"
_TEXT = ["Q: Where was the old piano built?\nA: Paris", "is it correct or wrong", "a correct answer, a wrong one"] * 20

ARCHITECTURES = ["gpt2", "opt", "llama"]
SPEEDS = ["fast", "plain"]

# Threads cost models as small as these more time than they save, by far where several tests run side by side.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start

settings.register_profile("no clock", deadline=None)  # a busy machine is no error
settings.load_profile("no clock")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE in which " correct" and " wrong" begin with different tokens."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(_TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def tiny_model(architecture: str, vocab_size: int) -> PreTrainedModel:
    """Weights wide enough apart that no two beams tie."""
    torch.manual_seed(0)
    match architecture:
        case "gpt2":
            config = GPT2Config(
                vocab_size=vocab_size,
                n_embd=32,
                n_layer=2,
                n_head=4,
                n_positions=WINDOW,
                initializer_range=0.3,
                bos_token_id=0,
                eos_token_id=0,
            )
            return GPT2LMHeadModel(config)
        case "opt":
            config = OPTConfig(
                vocab_size=vocab_size,
                hidden_size=32,
                word_embed_proj_dim=24,
                num_hidden_layers=2,
                num_attention_heads=4,
                ffn_dim=48,
                max_position_embeddings=WINDOW,
                init_std=0.3,
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=0,
            )
            return OPTForCausalLM(config)
        case _:
            config = LlamaConfig(
                vocab_size=vocab_size,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=WINDOW,
                initializer_range=0.3,
                bos_token_id=0,
                eos_token_id=0,
            )
            return LlamaForCausalLM(config)


@pytest.fixture(
    params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def speed() -> Speed:
    """Of the backbones below; a test that holds at both speeds is parametrised with `SPEEDS`."""
    return "fast"


@pytest.fixture(params=ARCHITECTURES)
def backbone(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast, speed: Speed) -> Backbone:
    """A fresh tiny backbone of each architecture."""
    return Backbone(tiny_model(request.param, len(tokenizer)), tokenizer, speed=speed)


@pytest.fixture
def llama(tokenizer: PreTrainedTokenizerFast, speed: Speed) -> Backbone:
    """A fresh tiny Llama, for what does not depend on the architecture."""
    return Backbone(tiny_model("llama", len(tokenizer)), tokenizer, speed=speed)


@pytest.fixture(scope="session")
def model_folder(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama as users have models: a folder."""
    folder = tmp_path_factory.mktemp("model")
    model = tiny_model("llama", len(tokenizer))
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 questions in 60 groups."""
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    cities = ["Paris", "Rome", "Oslo", "Lima"]
    rows = [
        {"id": f"q{i}", "question": f"Where was piano {i} built?", "answers": [cities[i % 4]], "group": f"g{i // 2}"}
        for i in range(120)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tiny_config(adapter: str, model_folder: Path, data_file: Path) -> RunConfig:
    """Of a run as small as one can be while its figures still say something."""
    training = {"adapter": adapter, "num_soft_tokens": 4, "lora_rank": 2, "learning_rate": 0.03, "epochs": 2}
    return parse_config(
        {
            "model": str(model_folder),
            "data": {"path": str(data_file), "splits": {"train": 40, "validation": 10, "calibration": 30, "test": 30}},
            "stage1": training | {"epochs": 3},
            "stage2": {"num_beams": 3, "max_new_tokens": 6, "batch_size": 4},
            "stage3": training,
        }
    )


def tiny_fused_config(model_folder: Path, data_file: Path, **stage2: int) -> RunConfig:
    """Of a run whose fused score can be fitted."""
    training = {"adapter": "lora", "lora_rank": 2, "learning_rate": 0.03, "epochs": 1}
    splits = {"train": 30, "validation": 50, "calibration": 20, "test": 20}
    return parse_config(
        {
            "model": str(model_folder),
            "data": {"path": str(data_file), "splits": splits},
            "stage1": training | {"epochs": 5},
            "stage2": {"max_new_tokens": 5, **stage2},
            "stage3": training,
            "score": {"kind": "fused"},
        }
    )


@pytest.fixture(scope="session", params=["soft_prompt", "lora"])
def config(request: pytest.FixtureRequest, model_folder: Path, data_file: Path) -> RunConfig:
    """Of a tiny run with each kind of adapter."""
    return tiny_config(request.param, model_folder, data_file)


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[RunConfig], Path]:
    """A whole run of these settings, made once for all files of tests; a test that changes a run changes a copy."""
    made: dict[str, Path] = {}

    def folder_of(config: RunConfig) -> Path:
        settings = config.model_dump_json()
        if settings not in made:
            folder = tmp_path_factory.mktemp("runs") / "whole"
            run(config, folder)
            made[settings] = folder
        return made[settings]

    return folder_of


@pytest.fixture(scope="session")
def finished(config: RunConfig, run_of: Callable[[RunConfig], Path]) -> Path:
    """The run of it."""
    return run_of(config)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, driven by playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
