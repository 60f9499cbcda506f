"""A tracker is told what the run's own files say, and one that fails costs no run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import GeneralTracker
from conftest import tiny_config

from aspire_llm import run
from aspire_llm.cli import main
from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.rundir.own import not_ours
from aspire_llm.tracking import _tracker

TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow")


class Recorder(GeneralTracker):
    """Keeps what it is told."""

    name, requires_logging_directory = "recorder", False

    def __init__(self, fails_at: str = "") -> None:
        self.told: list[tuple[str, Any]] = []
        self._fails_at = fails_at
        super().__init__()

    @property
    def tracker(self) -> list[tuple[str, Any]]:
        return self.told

    def _tell(self, what: str, value: Any = None) -> None:
        if what == self._fails_at:
            raise ConnectionError("no route\nto the server")
        self.told.append((what, value))

    def start(self) -> None:
        self._tell("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._tell("settings", values)

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self._tell("log", (values, step))

    def finish(self) -> None:
        self._tell("finish")


@pytest.fixture
def tracked(model_folder: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """The settings of a tiny run with a tracker that counts as installed."""
    monkeypatch.setattr("aspire_llm.tracking.find_spec", lambda _: True)
    sizes = {"train": 16, "validation": 8, "calibration": 8, "test": 12}
    config = tiny_config("soft_prompt", model_folder, data_file)
    return with_changes(config, [("tracking", "wandb"), ("data.splits", sizes), ("stage1.epochs", 2)])


def test_it_is_told_epochs_and_metrics(tracked: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("aspire_llm.tracking._tracker", lambda *_: recorder)
    metrics = run(tracked, tmp_path / "run")
    kinds = [kind for kind, _ in recorder.told]
    assert kinds == ["start", "settings", *["log"] * (len(kinds) - 3), "finish"]
    assert recorder.told[1][1]["stage1.epochs"] == "2"
    *epochs, (last, _) = [value for kind, value in recorder.told if kind == "log"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [step for _, step in epochs] == [line["epoch"] for line in lines]
    for (figures, _), line in zip(epochs, lines, strict=True):
        stage = line.pop("stage")
        assert figures == {f"{stage}/{name}": value for name, value in line.items() if name != "epoch"}
    assert last["test/accuracy"] == metrics.accuracy
    assert {f"test/{name}/auacc" for name in metrics.methods} <= last.keys()


@pytest.mark.parametrize("at", ["start", "log", "finish"])
def test_one_that_fails_costs_no_run(
    tracked: RunConfig, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aspire_llm.tracking._tracker", lambda *_: Recorder(at))
    small = with_changes(tracked, [("data.splits.train", 8), ("stage1.epochs", 1), ("stage3.epochs", 1)])
    assert run(small, tmp_path / "run").n == 12
    said = [line for line in capsys.readouterr().err.splitlines() if "tracks this run no further" in line]
    assert said == ["aspire-llm: warning: wandb tracks this run no further: no route to the server"]


def test_one_that_is_not_installed_is_a_line_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aspire_llm.tracking.find_spec", lambda _: None)
    assert main(["run", "--set", "tracking=mlflow", "--output", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "aspire-llm: tracking: mlflow is not installed; pip install mlflow, or leave tracking off"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", TRACKERS)
def test_every_tracker_is_made_without_its_package(name: str, tmp_path: Path) -> None:
    assert _tracker(name, tmp_path).name == name


def test_tensorboard_holds_the_losses(tracked: RunConfig, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(with_changes(tracked, [("tracking", "tensorboard")]), tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    for stage in ("stage 1", "stage 3"):
        losses = [line["train_loss"] for line in lines if line["stage"] == stage]
        assert [own.value for own in events.Scalars(f"{stage}/train_loss")] == pytest.approx(losses)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_run_is_replaced_with_what_its_tracker_wrote(finished: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / name).mkdir()
    (run / name / "events").write_text("1")
    assert not_ours(run) == []
