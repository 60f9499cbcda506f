"""Files of a run in which a value is another one than was written: every command does its work or ends in one line."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fuzzing.mutations import replaced, with_other_values

from aspire_llm.cli import main
from aspire_llm.config import RunConfig
from aspire_llm.results.calibration import CALIBRATION, Calibrated
from aspire_llm.results.predictions import PREDICTIONS, outcome_file
from aspire_llm.selection import Certified, Guarantee, RiskTarget, Unit
from aspire_llm.selection.confidence import PlattCalibration


@pytest.fixture
def outside(finished: Path, config: RunConfig, tmp_path: Path) -> Path:
    """What commands read beside a run: its settings, and predictions of live questions."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    outcome_file("live.jsonl").write(folder, PREDICTIONS.read(finished))
    return folder


def commands(run: Path, outside: Path) -> dict[str, list[str]]:
    """Which together read all files of a run."""
    return {
        "report": ["report", str(run)],
        "run": ["run", str(outside / "config.yaml"), "--output", str(run)],
        "export": ["export", str(run), str(outside / "exported"), "--half", "--with-questions"],
        "drift": ["drift", str(run), "--input", str(outside / "live.jsonl")],
        "calibrate": ["calibrate", str(run), "--target-risk", "0.3"],
        "ask": ["ask", str(run), "Where was piano 3 built?"],
    }


def certified(run: Path) -> None:
    """Have a run promise something."""
    outcome = Certified(threshold=-1.0, coverage=0.7, risk=0.1, p_value=0.01)
    promise = Guarantee(RiskTarget(0.2), outcome, Unit.QUESTION, "aspire", num_questions=30, num_groups=30)
    CALIBRATION.write(run, Calibrated(PlattCalibration(30, 1.0, 0.0), (promise,)))


# Each ended in a traceback.
PROVEN: list[tuple[str, str, Sequence[str | int], Any]] = [
    ("report", "metrics.json", ("answered", "accuracy"), "0.9"),
    ("report", "metrics.json", ("methods", "aspire", "source"), -1),
    ("report", "metrics.json", ("methods", "aspire", "coverage_at_risk", "0.1"), {}),
    ("report", "metrics.json", ("reference",), "nobody"),
    ("run", "predictions.jsonl", (0, "rouge_l"), ""),
    ("run", "samples.jsonl", (0, "answers", 0, "rouge_l"), "0.9"),
    ("export", "calibration.json", ("guarantees", 0, "coverage"), {"a": 1}),
    ("export", "calibration.json", ("guarantees", 0, "coverage"), "0.7"),
    ("export", "provenance.json", ("seconds", "stage1"), 10**400),
    ("export", "task_adapter/adapter_config.json", (), [1]),
]


@pytest.mark.parametrize(("command", "name", "place", "value"), PROVEN)
def test_another_value_is_told_with_its_file(
    finished: Path, outside: Path, tmp_path: Path, capsys, command: str, name: str, place: Sequence[Any], value: Any
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    certified(run)
    path = run / name
    text, lines = path.read_text(encoding="utf-8"), path.suffix == ".jsonl"
    content = replaced([json.loads(line) for line in text.splitlines()] if lines else json.loads(text), place, value)
    path.write_text("\n".join(map(json.dumps, content)) if lines else json.dumps(content), encoding="utf-8")
    capsys.readouterr()
    assert main(commands(run, outside)[command]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"aspire-llm: {path.parent if path.parent.name == 'task_adapter' else path}")
    assert not (outside / "exported").exists()


@pytest.mark.slow
def test_other_values_anywhere(finished: Path, outside: Path, tmp_path: Path, capsys) -> None:
    chance, run = random.Random(7), tmp_path / "run"
    names = [own.relative_to(finished) for own in sorted(finished.rglob("*.json*")) if own.parent.name != "tables"]
    damaged = {
        name: list(with_other_values((finished / name).read_bytes(), lines=name.suffix == ".jsonl")) for name in names
    }
    refused = 0
    for _ in range(400):
        name, command = chance.choice(names), chance.choice(list(commands(run, outside)))
        content = chance.choice(damaged[name])
        shutil.rmtree(run, ignore_errors=True)
        shutil.rmtree(outside / "exported", ignore_errors=True)
        shutil.copytree(finished, run)
        certified(run)
        (run / name).write_bytes(content)
        capsys.readouterr()
        try:
            code = main(commands(run, outside)[command])
        except Exception as error:
            raise AssertionError(f"{command}, {name}: {content[:2000]!r}") from error
        assert code == 0 or (code == 2 and capsys.readouterr().err.splitlines()[-1].startswith("aspire-llm: "))
        refused += code == 2
    assert refused > 100
