"""Fifty thousand damaged files: read, or refused by an error of ours, in bounded time and memory."""

import random
import resource
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import tiny_model
from fuzzing.mutations import mutated
from pyarrow import parquet
from transformers import PreTrainedTokenizerFast

from aspire_llm.config import TrainingConfig
from aspire_llm.config_files import load_config
from aspire_llm.data import check_data, load_questions
from aspire_llm.errors import AspireError
from aspire_llm.lm.adapter_files import load_adapter, save_adapter
from aspire_llm.lm.adapters import TASK, new_adapter
from aspire_llm.lm.model import Backbone
from aspire_llm.report.run_results import read_run_results
from aspire_llm.results.calibration import CALIBRATION, stored_rule
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.samples import SAMPLES
from aspire_llm.results.states import STATES
from aspire_llm.rundir.directory import RunDirectory

_SECONDS, _MEBIBYTES = 20.0, 400
_SQUAD = (
    '{"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": "A piano.", "qas": [{"id": "1", "question": '
    '"What?", "answers": [{"text": "A piano", "answer_start": 0}], "is_impossible": false}]}]}]}'
)
_COQA = (
    '{"version": "1.0", "data": [{"id": "s", "source": "x", "story": "A piano.", "questions": [{"input_text": "What?", '
    '"turn_id": 1}], "answers": [{"input_text": "a piano", "span_text": "A piano", "turn_id": 1}], '
    '"additional_answers": '
    '{"0": [{"input_text": "piano", "turn_id": 1}]}}]}'
)
_ROWS = '{"id": "a", "question": "Who?", "answers": ["x", "y"], "group": "g", "history": [["b?", "c"]]}\n' * 2
_TEXTS = {
    ".json": (_SQUAD, _COQA, f"[{_ROWS.splitlines()[0]}]"),
    ".jsonl": (_ROWS, '{"question": "Who?", "answer": ["x"]}\n'),
    ".csv": ('id,question,answers\n1,Who?,"[""x"", ""y""]"\n2,"What, then?",z\n',),
    ".tsv": ("question\tanswer\nWho?\tx\n", "Who?\t['x', 'y']\nWhat?\t\"['z']\"\n"),
}


@dataclass(frozen=True)
class Target:
    """What reads a file, and good contents of it."""

    path: Path
    good: tuple[bytes, ...]
    read: Callable[[], object]


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
def data_targets(tmp_path: Path) -> list[Target]:
    table = tmp_path / "good.parquet"
    parquet.write_table(pa.table({"question": ["a?", "b?"], "answers": [["x"], ["y", "z"]]}), table)
    contents = {name: tuple(text.encode() for text in own) for name, own in _TEXTS.items()}
    contents[".parquet"] = (table.read_bytes(),)

    def reader(path: Path) -> Callable[[], object]:
        def read() -> None:
            if not check_data(path).problems:
                assert load_questions(path)
                return
            load_questions(path)  # which must refuse it, too
            raise AssertionError("problems were reported, and the questions loaded")

        return read

    return [Target(path := tmp_path / f"data{name}", own, reader(path)) for name, own in contents.items()]


@pytest.fixture
def config_target(tmp_path: Path, finished: Path) -> Target:
    path = tmp_path / "config.yaml"
    short = b"model: demo\nstage1: {epochs: 3, learning_rate: 1e-3}\nscore: {target_risk: 0.1}\n"
    return Target(path, (short, (finished / "config.yaml").read_bytes()), lambda: load_config(path))


@pytest.fixture
def run_targets(tmp_path: Path, finished: Path) -> list[Target]:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)

    def read() -> None:
        config = RunDirectory.open(folder).config
        errors = []
        for part in (
            lambda: read_run_results(folder),
            lambda: (CALIBRATION.read(folder), stored_rule(folder, config)),
            lambda: (NOVELTY.read(folder), STATES.read(folder), EXAMPLES.read(folder)),
            lambda: list(SAMPLES.read(folder)),
        ):
            try:
                part()
            except AspireError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    kept = [own for own in sorted(folder.rglob("*")) if own.is_file() and own.suffix in (".json", ".jsonl", ".yaml")]
    kept += sorted(folder.glob("*.safetensors"))
    return [Target(own, (own.read_bytes(),), read) for own in kept if own.parent.name != "tables"]


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


def test_some_damaged_data(data_targets: list[Target]) -> None:
    assert fuzz(data_targets, 300, seed=1) > 100


@pytest.mark.slow
def test_damaged_data(data_targets: list[Target]) -> None:
    assert fuzz(data_targets, 25_000, seed=2) > 10_000


@pytest.mark.slow
def test_damaged_settings(config_target: Target) -> None:
    assert fuzz([config_target], 10_000, seed=3) > 5_000


@pytest.mark.slow
def test_damaged_runs(run_targets: list[Target]) -> None:
    assert fuzz(run_targets, 12_000, seed=4) > 5_000


@pytest.mark.slow
def test_damaged_adapters(adapter_targets: list[Target]) -> None:
    assert fuzz(adapter_targets, 4_000, seed=5) > 2_000
