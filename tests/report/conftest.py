"""Fixtures: a synthetic run directory and the lines of its predictions."""

from pathlib import Path
from typing import Any

import pytest
from report.synthetic_run import make_lines, untuned_lines, write_run


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    return make_lines(300)


@pytest.fixture
def run_dir(tmp_path: Path, lines: list[dict[str, Any]]) -> Path:
    path = tmp_path / "example-run"
    write_run(path, lines, untuned_lines(lines))
    return path
