"""Fixtures: synthetic run directories and their predictions."""

from pathlib import Path

import pytest
from report.rich_run import write_rich_files
from report.synthetic_run import make_predictions, untuned_answers, write_run

from aspire_llm.records import Prediction


@pytest.fixture
def predictions() -> list[Prediction]:
    return make_predictions(300)


@pytest.fixture
def run_dir(tmp_path: Path, predictions: list[Prediction]) -> Path:
    """A run with the five methods that its predictions give."""
    path = tmp_path / "example-run"
    write_run(path, predictions)
    return path


@pytest.fixture
def rich_dir(run_dir: Path, predictions: list[Prediction]) -> Path:
    """The same run with many methods, sweeps and seeds."""
    write_rich_files(run_dir, predictions, untuned_answers(predictions))
    return run_dir
