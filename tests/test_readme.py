"""The README's own snippets run, in its order, against what it says is there."""

import re
import shutil
from pathlib import Path

import pytest

from aspire_llm import run
from aspire_llm.cli import main
from aspire_llm.config_files import load_config
from aspire_llm.demonstration import WORLD

ROOT = Path(__file__).resolve().parents[1]


def snippets(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_snippets_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    predict, train, _ = snippets(ROOT / "README.md")  # the last one takes a server: serving/test_snippets.py
    assert len(train.strip().splitlines()) < 15
    # A small stand-in for what `make demo` leaves behind.
    changes = [("data.splits", {"train": 64, "validation": 20, "calibration": 20, "test": 4})]
    changes += [("stage1.epochs", 2), ("stage3.epochs", 1), ("stage2.num_beams", 2)]
    run(load_config(WORLD.config, changes), "runs/demo")
    assert main(["calibrate", "runs/demo", "--target-risk", "0.5"]) == 0
    capsys.readouterr()
    shutil.copytree("runs/demo", "runs/large")
    assert main(["cascade", "runs/demo", "runs/large", "--target-risk", "0.5", "--output", "runs/both"]) == 0
    capsys.readouterr()
    for snippet in snippets(ROOT / "docs" / "guarantees.md"):
        exec(compile(snippet, "guarantees.md", "exec"), {})
        assert "50%" in capsys.readouterr().out
    exec(compile(predict, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()
    exec(compile(train, "README.md", "exec"), {})
    accuracy, auroc = capsys.readouterr().out.split()
    assert 0.2 < float(accuracy) <= 1
    assert 0.5 < float(auroc) <= 1


@pytest.fixture
def demo_run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished run where the snippets expect that of `make demo`."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(finished)
    monkeypatch.chdir(tmp_path)


_EMBEDDING = dict(zip(("script", "pandas", "datasets", "sklearn", "langchain_core"), range(5), strict=True))


@pytest.mark.usefixtures("demo_run")
@pytest.mark.parametrize("program", _EMBEDDING)
def test_the_snippets_for_other_programs(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    if program == "langchain_core":
        pytest.importorskip(program, reason=f"{program} is not installed")
    own = snippets(ROOT / "docs" / "embedding.md")[_EMBEDDING[program]]
    exec(compile(own, "embedding.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_every_setting_is_documented() -> None:
    from aspire_llm.config import RunConfig
    from aspire_llm.config_files import flatten

    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for key in flatten(RunConfig().model_dump(mode="json")):
        assert key.rpartition(".")[2] in text, key
