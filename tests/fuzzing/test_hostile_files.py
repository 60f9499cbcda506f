"""Fifty thousand damaged files: read, or refused by an error of ours, in bounded time and memory."""

import random
import resource
import shutil
import time
import warnings
from pathlib import Path

import pytest
from conftest import tiny_model
from fuzzing.mutations import mutated
from fuzzing.targets import Target, config_target, data_targets, run_targets
from transformers import PreTrainedTokenizerFast

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import AspireError
from aspire_llm.lm.adapter_files import load_adapter, save_adapter
from aspire_llm.lm.adapters import TASK, new_adapter
from aspire_llm.lm.model import Backbone

_SECONDS, _MEBIBYTES = 20.0, 400


def fuzz(targets: list[Target], count: int, seed: int) -> int:
    """Put damaged contents in place of good ones; how many were refused."""
    chance, refused, before = random.Random(seed), 0, _memory()
    for number in range(count):
        target = targets[number % len(targets)]
        content = mutated(target.good, chance)
        target.path.write_bytes(content)
        started = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.read()
        except AspireError as error:
            refused += bool(str(error).strip())
        except Exception as error:
            raise AssertionError(f"{target.path.name}, input {number} of seed {seed}: {content[:2000]!r}") from error
        assert time.perf_counter() - started < _SECONDS, content[:2000]
        target.path.write_bytes(target.good[0])
    assert _memory() - before < _MEBIBYTES
    return refused


def _memory() -> float:
    """MiB at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture
def adapter_targets(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> list[Target]:
    backbone = Backbone(tiny_model("llama", len(tokenizer)), tokenizer)
    targets = []
    for kind in ("lora", "soft_prompt"):
        folder = tmp_path / kind
        folder.mkdir()
        save_adapter(new_adapter(backbone, TASK, TrainingConfig(adapter=kind, lora_rank=2), seed=0), folder)

        def read(folder: Path = folder) -> object:
            return load_adapter(backbone, TASK, folder)

        targets += [Target(own, (own.read_bytes(),), read) for own in sorted(folder.iterdir())]
    return targets


def test_some_damaged_data(tmp_path: Path) -> None:
    assert fuzz(data_targets(tmp_path), 300, seed=1) > 100


@pytest.mark.slow
def test_damaged_data(tmp_path: Path) -> None:
    assert fuzz(data_targets(tmp_path), 25_000, seed=2) > 10_000


@pytest.mark.slow
def test_damaged_settings(tmp_path: Path, finished: Path) -> None:
    assert fuzz([config_target(tmp_path, finished)], 10_000, seed=3) > 5_000


@pytest.mark.slow
def test_damaged_runs(tmp_path: Path, finished: Path) -> None:
    assert fuzz(run_targets(shutil.copytree(finished, tmp_path / "run")), 12_000, seed=4) > 5_000


@pytest.mark.slow
def test_damaged_adapters(adapter_targets: list[Target]) -> None:
    assert fuzz(adapter_targets, 4_000, seed=5) > 2_000
