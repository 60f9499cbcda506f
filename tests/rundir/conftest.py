"""A run as small as one can be, for what happens to files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aspire_llm.cli import main

Command = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def arguments(model_folder: Path, data_file: Path) -> list[str]:
    """Of `aspire-llm run`, all but the output."""
    settings = [
        "data.splits={train: 12, validation: 6, calibration: 12, test: 24}",
        "stage1={num_soft_tokens: 3, epochs: 3}",
        "stage2={num_beams: 2, max_new_tokens: 3, batch_size: 2}",
        "stage3={adapter: lora, lora_rank: 2, epochs: 2}",
        "rivals.num_samples=2",
    ]
    given = ["run", "--model", str(model_folder), "--data", str(data_file)]
    return [*given, *(part for setting in settings for part in ("--set", setting))]


@pytest.fixture(scope="session")
def whole(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([*arguments, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def command() -> Command:
    """Starts the command line as a process of its own."""

    def start(*arguments: str | Path, environment: dict[str, str] | None = None, **options):
        code = "import sys; from aspire_llm.cli import main; sys.exit(main())"
        known = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | (environment or {})
        call = [sys.executable, "-c", code, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        return subprocess.Popen(call, env=known, **pipes)

    return start
