"""One server for all tests that leave it as it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import tiny_config
from serving.live import Live, live

from aspire_llm.commands import calibrate
from aspire_llm.config import RunConfig
from aspire_llm.selection import RiskTarget


@pytest.fixture(scope="session")
def config(model_folder: Path, data_file: Path) -> RunConfig:
    """With LoRA, of which two runs on one model are told apart by name."""
    return tiny_config("lora", model_folder, data_file)


@pytest.fixture(scope="session")
def certified(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny finished run with a target that nothing can keep, and one that anything keeps."""
    folder = tmp_path_factory.mktemp("certified") / "whole"
    shutil.copytree(finished, folder)
    calibrate(folder, [RiskTarget(0.01, 0.05), RiskTarget(0.99, 0.05)], None)
    return folder


@pytest.fixture(scope="session")
def served(certified: Path) -> Iterator[Live]:
    """Of it."""
    with live([certified]) as own:
        yield own
