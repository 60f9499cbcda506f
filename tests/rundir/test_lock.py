"""One process at a time: the second is refused with a line that names the first."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aspire_llm.cli import main
from aspire_llm.errors import RunDirectoryError
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.lock import locked_output

_HOLD = """
import sys
from pathlib import Path
from aspire_llm.rundir.lock import take_lock
lock = take_lock(Path(sys.argv[1]), Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(path: Path) -> Iterator[int]:
    """Another process holds the lock in this file."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    call = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()


def test_a_run_that_another_process_works_on_is_refused(capsys, whole: Path, tmp_path: Path, arguments) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    commands = [
        [*arguments, "--output", str(run)],
        [*arguments, "--fresh", "--output", str(run)],
        [*arguments, "--seeds", "2", "--output", str(run)],
        ["evaluate", str(run)],
        ["sweep", str(run)],
        ["report", str(run)],
        ["report", str(run / "evaluations" / "other")],
    ]
    shutil.copytree(whole, run / "evaluations" / "other")
    with another_process(run / ".aspire-run") as process:
        before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
        for command in commands:
            capsys.readouterr()
            assert main(command) == 2
            error = capsys.readouterr().err
            assert error.count("\n") == 1, error
            assert f"in use by process {process} on {platform.node()} since 20" in error
        assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert main(commands[0]) == 0, "a lock ends with its process, however that ends"


def test_an_output_that_another_process_writes_is_refused(capsys, whole: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "q.jsonl", tmp_path / "p.jsonl"
    source.write_text('{"question": "Where?"}\n', encoding="utf-8")
    predict = ["predict", str(whole), "--input", str(source), "--output", str(output)]
    compare = ["compare", str(whole), "--output", str(tmp_path / "compared")]
    for command, lock in ((predict, ".p.jsonl.lock"), (compare, ".compared.lock")):
        with another_process(tmp_path / lock) as process:
            assert main(command) == 2
            assert f"in use by process {process}" in capsys.readouterr().err
        assert main(command) == 0
        assert not (tmp_path / lock).exists()


def test_two_that_begin_one_run_at_once(whole: Path, tmp_path: Path) -> None:
    config = RunDirectory.open(whole).config
    path = tmp_path / "new" / "run"
    with RunDirectory.plan(path, config) as first, RunDirectory.plan(path, config) as second:
        first.start()
        with pytest.raises(RunDirectoryError, match=f"in use by process {os.getpid()}"):
            second.start()
    with second, pytest.raises(RunDirectoryError, match="changed by another process"):
        second.start()  # the first has ended meanwhile: what was planned on an empty folder no longer holds
    with RunDirectory.plan(path, config) as third:
        third.start()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here in which no file can be made")
def test_where_no_lock_can_be_made_nobody_is_said_to_hold_it() -> None:
    with pytest.raises(OSError, match="No such file"), locked_output(Path("/proc/predictions.jsonl")):
        pass


def test_the_lock_of_an_output_excludes_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with locked_output(output), pytest.raises(RunDirectoryError, match="in use"), locked_output(output):
        pass
    assert list(tmp_path.iterdir()) == []
