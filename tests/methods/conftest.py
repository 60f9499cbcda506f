"""A tiny run with all methods."""

import shutil
from pathlib import Path

import pytest

from aspire_llm import run
from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config


@pytest.fixture(scope="session")
def config(model_folder: Path, data_file: Path) -> RunConfig:
    training = {"num_soft_tokens": 4, "learning_rate": 0.03, "epochs": 2}
    return parse_config(
        {
            "model": str(model_folder),
            "data": {"path": str(data_file), "splits": {"train": 40, "validation": 20, "calibration": 20, "test": 20}},
            "stage1": training | {"num_soft_tokens": 12, "epochs": 30, "learning_rate": 0.3, "patience": 30},
            "stage2": {"num_beams": 3, "max_new_tokens": 6, "batch_size": 8},
            "stage3": training,
            "correctness": {"train_threshold": 0.1, "eval_threshold": 0.1},
            "rivals": {"num_samples": 4, "temperature": 1.5, "p_true_examples": 1},
        }
    )


@pytest.fixture(scope="session")
def finished(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(config, folder, methods="all")
    return folder


@pytest.fixture
def unscored(finished: Path, tmp_path: Path) -> Path:
    """The run as it is before any method has scored it."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("scores", "rival_samples*", "metrics.json"))
    return folder
