"""Commands by several processes on this machine, and what they leave compared with what one leaves."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ANSWERS = ("samples.jsonl", "predictions.jsonl", "calibration_predictions.jsonl", "predictions_untuned.jsonl")


def write_questions(path: Path) -> Path:
    """120 questions of unequal length."""
    cities = ["Paris", "Rome", "Oslo", "Lima"]
    rows = [
        {
            "id": f"q{i}",
            "question": f"Where was piano {i}{' of the old house' * (i % 6)} built?",
            "answers": [cities[i % 4]],
            "group": f"g{i // 2}",
        }
        for i in range(120)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def launched(
    count: int, *arguments: str | int | Path, program: Sequence[str] = ("-m", "aspire_llm")
) -> "subprocess.Popen[bytes]":
    """A command, or another program, by several processes on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    known = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [*launcher, *program, *map(str, arguments)],
        env=known,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


def end_of(process: "subprocess.Popen[bytes]") -> str:
    """What it said on both outputs, once it has ended well."""
    out, err = (text.decode() for text in process.communicate(timeout=300))
    assert process.returncode == 0, err
    return out + err


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def assert_same(found: Any, expected: Any, tolerance: float) -> None:
    """The same texts in the same order, and numbers that differ by no more."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=tolerance)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key], tolerance)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, tolerance)
    else:
        assert found == expected


def losses(run: Path) -> list[float]:
    return [event[key] for event in lines(run / "log.jsonl") for key in ("train_loss", "validation_loss")]
