"""The configurations of the paper's runs: what the file name says is what the file says, and no more than it needs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config, read_yaml
from aspire_llm.data.hub import HUB_NAMES, HubDataset, find_hub_dataset
from aspire_llm.records import Split

FOLDER = Path(__file__).resolve().parents[1] / "configs" / "paper"
MODELS = {
    "opt-350m": "facebook/opt-350m",
    "opt-1.3b": "facebook/opt-1.3b",
    "opt-2.7b": "facebook/opt-2.7b",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
}
# Questions of the official training set.
TRAINING_QUESTIONS = {"coqa": 108_647, "triviaqa": 87_622, "squad": 87_599}
PAIRS = [(model, data) for model in MODELS for data in TRAINING_QUESTIONS]


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_every_model_meets_every_data_set() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{model}-{data}.yaml" for model, data in PAIRS}


@pytest.mark.parametrize(("model", "data"), PAIRS)
def test_file_name_and_content_agree(model: str, data: str) -> None:
    config = load_config(FOLDER / f"{model}-{data}.yaml")
    assert config.model == MODELS[model]
    assert config.data.name == data


@pytest.mark.parametrize(("model", "data"), PAIRS)
def test_the_official_test_questions_are_asked_and_the_rest_is_cut_from_the_training_set(model: str, data: str) -> None:
    config = load_config(FOLDER / f"{model}-{data}.yaml").data
    assert config.sources == {Split.TRAIN: f"name:{data}", Split.TEST: f"{data}:validation"}
    for source, split in ((data, "train"), (f"{data}:validation", "validation")):
        found = find_hub_dataset(source)
        assert isinstance(found, HubDataset)
        assert (found.split, HUB_NAMES[data]) == (split, found.address)
    counts, targets = config.splits.counts(TRAINING_QUESTIONS[data], without=[Split.TEST])
    assert counts == {Split.TRAIN: 50_000, Split.VALIDATION: 2_000, Split.CALIBRATION: 2_000}
    assert not targets
    assert sum(counts.values()) <= TRAINING_QUESTIONS[data]


@pytest.mark.parametrize(("model", "data"), PAIRS)
def test_a_file_names_only_what_differs_from_the_defaults(model: str, data: str) -> None:
    path = FOLDER / f"{model}-{data}.yaml"
    defaults = dict(leaves(RunConfig().model_dump(mode="json")))
    assert [key for key, value in leaves(read_yaml(path)) if defaults[key] == value] == []
    head = path.read_text(encoding="utf-8").partition("model:")[0]
    assert "default" in head
    assert "docs/reproduction.md" in head


def test_the_defaults_are_the_papers() -> None:
    """What the files rely on without naming it (docs/reproduction.md)."""
    config = RunConfig()
    for stage in (config.stage1, config.stage3):
        assert (stage.adapter, stage.num_soft_tokens) == ("soft_prompt", 50)
        assert (stage.learning_rate, stage.batch_size, stage.epochs) == (0.01, 8, 10)
    assert (config.stage2.decoder, config.stage2.num_beams, config.stage2.length_penalty) == ("beam", 10, 0)
    assert (config.stage3.max_correct, config.stage3.max_wrong) == (2, 10)
    assert config.score.alpha == 0.25
    assert (config.correctness.train_threshold, config.correctness.eval_threshold) == (0.9, 0.7)
    assert (config.rivals.num_samples, config.rivals.temperature) == (10, 0.5)
