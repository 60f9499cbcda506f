"""The user's files: nothing but a run of ours is written into or replaced, and what a run is made from stays."""

import os
import shutil
from pathlib import Path

import pytest

from aspire_llm.cli import main
from aspire_llm.commands import resolve_run
from aspire_llm.config_files import parse_config
from aspire_llm.errors import AspireError
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.own import MARKER, is_run


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *parts: str) -> None:
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    for part in parts:
        assert part in error


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    """A folder with a `config.yaml` that reads like ours, and with work of the user's."""
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 4\n", encoding="utf-8")
    (folder / "notes.txt").write_text("precious", encoding="utf-8")
    return folder


@pytest.mark.parametrize("options", [[], ["--fresh"], ["--remake"], ["--seeds", "2"]])
def test_a_config_makes_no_run_of_a_folder(capsys, users_folder: Path, arguments: list[str], options: list) -> None:
    before = content(users_folder)
    refused(capsys, [*arguments, *options, "--output", str(users_folder)], "holds no run")
    assert content(users_folder) == before


def test_no_other_command_writes_into_it_either(capsys, users_folder: Path, whole: Path) -> None:
    for name in ("metrics.json", "predictions.jsonl"):
        shutil.copyfile(whole / name, users_folder / name)
    before = content(users_folder)
    for command in (["report", str(users_folder)], ["evaluate", str(users_folder)], ["sweep", str(users_folder)]):
        refused(capsys, command, "no run here")
    assert content(users_folder) == before


def test_an_older_run_without_the_mark_is_one(capsys, whole: Path, tmp_path: Path, arguments: list[str]) -> None:
    older = tmp_path / "older"
    shutil.copytree(whole, older)
    (older / MARKER).unlink()
    assert is_run(older)
    assert main(["report", str(older)]) == 0
    assert main([*arguments, "--output", str(older)]) == 0
    assert (older / MARKER).is_file()
    # What only looks like one is none.
    (older / MARKER).unlink()
    (older / "provenance.json").write_text('{"made_by": "another tool"}', encoding="utf-8")
    refused(capsys, [*arguments, "--fresh", "--output", str(older)], "holds no run")


def test_a_run_without_its_config_is_not_taken_over(capsys, whole: Path, tmp_path: Path, arguments: list[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "config.yaml").unlink()
    before = content(run)
    refused(capsys, [*arguments, "--output", str(run)], "without its config.yaml", "--fresh")
    assert content(run) == before


def test_fresh_leaves_what_the_user_put_into_a_run(capsys, whole: Path, tmp_path: Path, arguments: list[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "notes.txt").write_text("precious", encoding="utf-8")
    before = content(run)
    refused(capsys, [*arguments, "--fresh", "--output", str(run)], "notes.txt", "move it elsewhere")
    assert content(run) == before


@pytest.mark.parametrize("inside", ["model", "data", "config", "judge"])
def test_what_a_run_is_made_from_does_not_lie_inside(
    capsys, inside: str, whole: Path, tmp_path: Path, model_folder: Path, data_file: Path, arguments: list[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "tables" / "mine").mkdir()
    model, data = run / "tables" / "mine" / "model", run / "tables" / "mine" / "data.jsonl"
    shutil.copytree(model_folder, model)
    shutil.copyfile(data_file, data)
    command = {
        "model": ["run", "--model", str(model), "--data", str(data_file)],
        "data": ["run", "--model", str(model_folder), "--data", str(data)],
        "config": ["run", str(run / "config.yaml")],
        "judge": [*arguments, "--set", f"rivals.judge={run}"],
    }[inside]
    before = content(run)
    for options in (["--fresh"], []):
        refused(capsys, [*command, *options, "--output", str(run)], "lies inside the output")
    assert content(run) == before


def test_a_run_may_be_called_as_the_value_of_a_setting(
    whole: Path, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that the settings say, only paths can lie inside the output."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "aspire")
    assert RunDirectory.open(Path("aspire")).config.score.kind == "aspire"
    assert main([*arguments, "--output", "aspire"]) == 0
    named = parse_config({"data": {"name": "facts"}, "device": "cpu", "model": "demo", "prompts": {"format": "chat"}})
    for name in ("facts", "cpu", "demo", "chat", "auto"):
        shutil.copytree(whole, name)
        RunDirectory.plan(Path(name), named, fresh=True)


def test_an_output_among_a_run_s_own_files_is_refused(capsys, whole: Path, tmp_path: Path) -> None:
    before = content(whole)
    source = tmp_path / "q.jsonl"
    source.write_text('{"question": "Where?"}\n', encoding="utf-8")
    for place in ("predictions.jsonl", "tables/mine.jsonl", "evaluations/x.jsonl"):
        (whole / "evaluations").mkdir(exist_ok=True)
        command = ["predict", str(whole), "--input", str(source), "--output", str(whole / place)]
        refused(capsys, command, "the run's own files")
    (whole / "evaluations").rmdir()
    assert content(whole) == before


_MAKE_A_FOLDER = ("compare", "cascade", "export", "import")


@pytest.mark.parametrize(
    ("command", "place"),
    [
        *((command, "") for command in _MAKE_A_FOLDER),  # given a run, `run` goes on with it
        *(
            (command, place)
            for command in (*_MAKE_A_FOLDER, "run")
            for place in ("mine", "tables/mine", "../link/mine")
        ),
    ],
)
def test_a_folder_of_other_results_is_no_run_and_lies_in_none(
    capsys, whole: Path, tmp_path: Path, arguments: list[str], command: str, place: str
) -> None:
    run, other, exported = tmp_path / "run", tmp_path / "other", tmp_path / "exported"
    shutil.copytree(whole, run)
    shutil.copytree(whole, other)
    (tmp_path / "link").symlink_to(run)
    if command == "import":
        assert main(["export", str(whole), str(exported)]) == 0
    output = str(run / place)
    before = content(tmp_path)
    call = {
        "compare": ["compare", str(run), str(other), "--output", output],
        "cascade": ["cascade", str(run), str(other), "--target-risk", "0.2", "--output", output],
        "export": ["export", str(other), output],
        "import": ["import", str(exported), output],
        "run": [*arguments, "--output", output],
    }[command]
    refused(capsys, call, output)
    assert content(tmp_path) == before


def test_a_run_of_a_seed_is_gone_on_with_where_it_lies(whole: Path, tmp_path: Path, arguments: list[str]) -> None:
    seed = tmp_path / "run" / "seeds" / "1"
    shutil.copytree(whole, tmp_path / "run")
    shutil.copytree(whole, seed)
    assert main([*arguments, "--set", "score.alpha=0.5", "--output", str(seed)]) == 0


def test_every_moment_of_replacing_a_run_can_be_gone_on_from(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at its n-th change to the disk, `start` with `--fresh` leaves what the same plan accepts."""
    config = RunDirectory.open(whole).config
    changes = (("os.replace", os.replace), ("pathlib.Path.mkdir", Path.mkdir), ("os.unlink", os.unlink))
    for moment in range(1, 100):
        run = tmp_path / str(moment) / "run"
        run.mkdir(parents=True)
        for name in (MARKER, "config.yaml", "samples.jsonl"):
            shutil.copyfile(whole / name, run / name)
        shutil.copytree(whole / "task_adapter", run / "task_adapter")
        left = moment

        def killed(*given, _change, **keywords):
            nonlocal left
            left -= 1
            if left <= 0:
                raise InterruptedError
            return _change(*given, **keywords)

        with monkeypatch.context() as patched:
            for name, change in changes:
                patched.setattr(name, lambda *a, _change=change, **k: killed(*a, _change=_change, **k))
            try:
                with RunDirectory.plan(run, config, fresh=True) as directory:
                    directory.start()
                    directory.settle()
            except InterruptedError:
                pass
        ended = left > 0
        with RunDirectory.plan(run, config, fresh=True) as directory:
            directory.start()
            assert {path.name for path in run.iterdir()} == {MARKER, "config.yaml"}
            directory.settle()
        assert [path.name for path in run.parent.iterdir()] == ["run"], "nothing is left beside the run"
        if ended:
            return
    raise AssertionError("it never ended")


def test_fresh_follows_a_link_to_a_run(tmp_path: Path, whole: Path, arguments: list[str]) -> None:
    disk, link = tmp_path / "disk", tmp_path / "link"
    shutil.copytree(whole, disk / "run")
    link.symlink_to(disk / "run")
    assert main([*arguments, "--fresh", "--output", str(link)]) == 0
    assert link.is_symlink()
    assert (disk / "run" / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    assert [path.name for path in disk.iterdir()] == ["run"]


@pytest.mark.parametrize("option", ["model", "data"])
def test_a_run_is_named_after_the_folder_not_after_its_dots(tmp_path: Path, monkeypatch, option: str) -> None:
    work = tmp_path / "thesis" / "model-1.5"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    for dots, name in ((".", "model-1.5"), ("..", "thesis"), ("../../thesis/", "thesis")):
        assert resolve_run(None, **{option: dots})[1] == Path("runs") / name
    assert resolve_run(None, model="org/name-2.7b")[1] == Path("runs") / "name-2.7b"
    for nameless in ("/", "...", "///"):
        with pytest.raises(AspireError, match=r"give --output|no such file or folder"):
            resolve_run(None, **{option: nameless})
