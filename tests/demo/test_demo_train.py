"""The training script: packing, the learning-rate schedule, the optimizers' shares and the files it leaves."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from aspire_llm.demo.world import World
from scripts.demo_model import train
from scripts.demo_model.train import TrainingOptions


class LetterTokenizer:
    """One token a letter; 0 ends a text."""

    eos_token_id = 0

    def __call__(self, texts: list[str], add_special_tokens: bool) -> SimpleNamespace:
        assert not add_special_tokens
        return SimpleNamespace(input_ids=[[ord(letter) for letter in text] for text in texts])


def endless(texts: list[str]) -> Iterator[str]:
    while True:
        yield from texts


def test_rows_begin_with_a_document_and_drop_what_does_not_fit() -> None:
    rows = train.packed_rows(endless(["ab", "cde", "f"]), LetterTokenizer(), length=5)  # type: ignore[arg-type]
    # "ab." and "cde." make 7 tokens, of which 5 fit; the next row begins with "f".
    assert ["".join(chr(token) if token else "." for token in next(rows)) for _ in range(4)] == [
        "ab.cd",
        "f.ab.",
        "cde.f",
        "ab.cd",
    ]


def test_learning_rate_rises_and_falls_to_zero() -> None:
    options = TrainingOptions(Path(), tokens=60 * 10, rows=1, row_length=10, warmup=20)
    assert options.steps == 60
    factors = [train.learning_rate_factor(step, options) for step in range(61)]
    assert factors[0] == pytest.approx(0.05)
    assert factors[19] == 1
    assert factors[40] == pytest.approx(0.5)  # half way down the cosine
    assert factors[50] == pytest.approx(0.5 * (1 - math.sqrt(0.5)))
    assert factors[60] == pytest.approx(0)


def test_a_vocabulary_without_the_verdict_words_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "TOKENIZER_DOCUMENTS", 500)
    with pytest.raises(ValueError, match="' correct' is not a single token: raise the vocabulary size of 280"):
        train.train_tokenizer(world, seed=1, vocabulary_size=280)


def test_muon_has_the_matrices_of_the_layers_and_adamw_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "TOKENIZER_DOCUMENTS", 2000)
    options = TrainingOptions(Path(), layers=2)
    model = train.build_model(options, train.train_tokenizer(world, 1, 2048))
    muon, adamw = train.build_optimizers(model, options)
    # Query, key, value, output, gate, up and down of each layer.
    assert len(muon.param_groups[0]["params"]) == 2 * 7
    # The embeddings, two norms a layer and the last norm.
    assert len(adamw.param_groups[0]["params"]) == 1 + 2 * 2 + 1


@pytest.mark.slow
def test_the_command_trains_and_leaves_a_loadable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "TOKENIZER_DOCUMENTS", 2000)
    sizes = {"tokens": 3072, "layers": 1, "rows": 4, "row-length": 64, "warmup": 2, "threads": 1}
    arguments = [f"--{name}={size}" for name, size in sizes.items()]
    monkeypatch.setattr(sys, "argv", ["train", "--output", str(tmp_path), *arguments])
    train.main()
    printed = capsys.readouterr().out.splitlines()
    assert json.loads(printed[-1])["steps"] == 12
    # Guessing evenly among 2,048 tokens costs ln 2048 = 7.6 nats; the mean is that of all steps.
    assert float(printed[1].split("loss ")[1].split()[0]) < math.log(2048) - 0.5

    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert model.dtype is torch.float32
    assert (len(tokenizer), model.config.num_hidden_layers, model.config.max_position_embeddings) == (2048, 1, 512)
