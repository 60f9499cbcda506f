"""A run directory: what is taken for a run, what is refused, and what starting it removes."""

import json
from pathlib import Path

import pytest

from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.errors import RunDirectoryError
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.log import log_epoch
from aspire_llm.rundir.own import MARKER
from aspire_llm.rundir.steps import stale

CONFIG = RunConfig()


def begun(path: Path) -> Path:
    """A run of which everything is there, as empty files."""
    RunDirectory.plan(path, CONFIG).start()
    for name in ("samples.jsonl", "predictions.jsonl", "predictions_untuned.jsonl", "seeds.json", "sweep.json"):
        (path / name).touch()
    for name in ("task_adapter", "self_eval_adapter", "evaluations/dev", "scores"):
        (path / name).mkdir(parents=True)
    for name in ("scores/p_true.json", "evaluations/dev/metrics.json", "evaluations/dev/predictions.jsonl"):
        (path / name).touch()
    events = [{"stage": "stage 1", "epoch": 1}, {"stage": "stage 3", "epoch": 1}]
    (path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def started_with(path: Path, key: str, value: object) -> set[str]:
    """What is left of a run when a key is changed."""
    directory = RunDirectory.plan(begun(path), with_changes(CONFIG, [(key, value)]), remake=True)
    directory.start(stale(directory.changed))
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("precious", encoding="utf-8")
    for path in (file, tmp_path):
        with pytest.raises(RunDirectoryError, match="choose another --output"):
            RunDirectory.plan(path, CONFIG, fresh=True)
    with pytest.raises(RunDirectoryError, match="no run here"):
        RunDirectory.open(tmp_path)
    assert file.read_text(encoding="utf-8") == "precious"


def test_planning_writes_nothing(tmp_path: Path) -> None:
    RunDirectory.plan(tmp_path / "run", CONFIG)
    assert not (tmp_path / "run").exists()
    run = begun(tmp_path / "run")
    RunDirectory.plan(run, with_changes(CONFIG, [("seed", 4)]), fresh=True)
    assert RunDirectory.open(run).config == CONFIG


def test_fresh_replaces_everything(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    directory = RunDirectory.plan(run, CONFIG, fresh=True)
    directory.start()
    assert names(run) == {MARKER, "config.yaml"}
    directory.settle()
    assert names(tmp_path) == {"run"}


def test_the_message_names_the_keys_that_train_again_and_no_others(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    changed = with_changes(CONFIG, [("stage3.epochs", 3), ("score.alpha", 0.5), ("device", "cpu")])
    with pytest.raises(RunDirectoryError, match=r"other settings \(stage3.epochs\), which train it again"):
        RunDirectory.plan(run, changed)


def test_what_a_key_changes_is_removed_and_the_rest_is_kept(tmp_path: Path) -> None:
    after = started_with(tmp_path / "stage3", "stage3.epochs", 3)
    assert {"task_adapter", "samples.jsonl", "predictions_untuned.jsonl"} <= after
    assert not {"self_eval_adapter", "predictions.jsonl", "evaluations", "seeds.json", "sweep.json"} & after
    (event,) = (tmp_path / "stage3" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(event)["stage"] == "stage 1"


def test_figures_of_other_decisions_are_removed_with_no_answer_lost(tmp_path: Path) -> None:
    after = started_with(tmp_path / "alpha", "score.alpha", 0.9)
    assert {"task_adapter", "self_eval_adapter", "predictions.jsonl", "evaluations/dev/predictions.jsonl"} <= after
    assert not {"evaluations/dev/metrics.json", "seeds.json", "sweep.json"} & after
    assert "seeds.json" in started_with(tmp_path / "device", "device", "cpu")


@pytest.mark.parametrize("line", ["{", "[1]", '{"stage": "stage 1"}', '{"stage": "stage 1", "epoch": "first"}'])
@pytest.mark.parametrize("changes", [[], [("stage3.epochs", 3)]])
def test_a_damaged_log_is_told_before_anything_is_removed(
    tmp_path: Path, line: str, changes: list[tuple[str, object]]
) -> None:
    run = begun(tmp_path / "run")
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")
    before = names(run)
    directory = RunDirectory.plan(run, with_changes(CONFIG, changes), remake=True)
    with pytest.raises(RunDirectoryError, match=r"log\.jsonl line 3 holds no event of an epoch \(.*remove what is dam"):
        directory.start(stale(directory.changed))
    assert names(run) == before


def test_an_epoch_replaces_what_a_killed_try_took_down_of_it(tmp_path: Path) -> None:
    for stage, epoch in (("stage 1", 1), ("stage 1", 2), ("stage 3", 1)):
        log_epoch(tmp_path, stage, epoch, train_loss=float(epoch))
    with (tmp_path / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"stage": "sta')  # killed
    log_epoch(tmp_path, "stage 1", 1, train_loss=0.5)
    log = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in log] == [
        {"stage": "stage 3", "epoch": 1, "train_loss": 1.0},
        {"stage": "stage 1", "epoch": 1, "train_loss": 0.5},
    ]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    directory = RunDirectory.plan(tmp_path / "run", CONFIG)
    directory.start()

    def half_way() -> None:
        with directory.new_folder("task_adapter") as folder:
            (folder / "half").touch()
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half_way()
    assert names(directory.path) == {MARKER, "config.yaml"}
    with directory.new_folder("task_adapter") as folder:
        (folder / "whole").touch()
    assert (directory.path / "task_adapter" / "whole").is_file()
