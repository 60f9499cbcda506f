"""A run killed at any moment, and gone on with by the same command, ends as an uninterrupted one, to the last byte."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from aspire_llm.cli import main
from aspire_llm.rundir.files import Lines
from aspire_llm.rundir.own import MARKER

METHODS = ["--methods", "predictive_entropy,p_true"]
_TIMES = {"seconds", "seconds_a_question", "cost", "generated_tokens", "relative"}


def without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: value is None if key in _TIMES else without_times(value) for key, value in content.items()}
    return [without_times(value) for value in content] if isinstance(content, list) else content


def content(run: Path) -> dict[str, Any]:
    """All that a run holds but for times (a missing one counts); pages and tables show some, so they only exist."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_dir() or name == MARKER:
            continue
        if name == "report.html" or path.parent.name == "tables":
            found[name] = True
        elif name == "log.jsonl" or name.startswith("rival_samples"):
            found[name] = [without_times(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        elif name in ("provenance.json", "costs.json") or path.parent.name == "scores":
            found[name] = without_times(json.loads(path.read_text("utf-8")))
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def uninterrupted(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert main([*arguments, *METHODS, "--output", str(folder)]) == 0
    return content(folder)


class Killed(BaseException):
    """Nothing handles it, as nothing handles a SIGKILL."""


@contextmanager
def killed_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The n-th write does not happen, and none after it: neither a rename nor appended lines, of which half are."""
    left = writes
    replace, pour = os.replace, Lines.pour

    def is_dead() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    def replaced(*given: Any) -> None:
        if is_dead():
            raise Killed
        replace(*given)

    class Dying:
        """A file whose last write is cut."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def write(self, text: bytes) -> None:
            if is_dead():
                self._file.write(text[: len(text) * 2 // 3])
                self._file.flush()
                raise Killed
            self._file.write(text)

        def flush(self) -> None:
            self._file.flush()

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replaced)
        patched.setattr(Lines, "pour", lambda self, file, *rest, **options: pour(self, Dying(file), *rest, **options))
        yield


def test_killed_at_one_write_after_another(
    tmp_path: Path, arguments: list[str], uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("write_report", "write_tables"):
        monkeypatch.setattr(f"aspire_llm.pipeline.{name}", lambda folder: None)
    run, kills, draw = tmp_path / "run", 0, random.Random(0)
    while True:
        try:
            with killed_after(draw.randrange(4, 16), monkeypatch):
                assert main([*arguments, *METHODS, "--output", str(run)]) == 0
            break
        except Killed:
            kills += 1
    assert kills >= 5
    expected = {name: own for name, own in uninterrupted.items() if own is not True}
    assert content(run) == expected


@pytest.mark.parametrize("lost", ["log before checkpoint", "checkpoint before the adapter", "after the adapter"])
def test_no_epoch_s_line_is_lost_or_doubled(
    lost: str, tmp_path: Path, arguments: list[str], whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    replace = os.replace

    def killed(source: Any, target: Any) -> None:
        name = Path(target).name
        epochs = (run / "log.jsonl").read_text("utf-8").count("\n") if (run / "log.jsonl").is_file() else 0
        at = {
            "log before checkpoint": name == "task_adapter.checkpoint" and epochs == 2,
            "checkpoint before the adapter": name == "task_adapter",
            "after the adapter": name == "provenance.json" and (run / "task_adapter").is_dir(),
        }
        if at[lost]:
            raise Killed
        replace(source, target)

    if lost == "after the adapter":
        monkeypatch.setattr("aspire_llm.stages.training_loop.TrainingLoop.finish", lambda self: None)
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        main([*arguments, "--output", str(run)])
    assert (run / "task_adapter.checkpoint").is_file()
    monkeypatch.undo()
    assert main([*arguments, "--output", str(run)]) == 0
    assert content(run) == content(whole), "neither a line too many nor a file"


def test_costs_survive_a_kill_right_after_the_predictions(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    read = Lines.read

    def killed(self: Any, folder: Path) -> Any:
        if self.name == "predictions.jsonl":
            raise Killed  # they are stored, and nothing after them
        return read(self, folder)

    monkeypatch.setattr(Lines, "read", killed)
    with pytest.raises(Killed):
        main([*arguments, "--output", str(run)])
    assert (run / "predictions.jsonl").read_text("utf-8").count("\n") == 24
    monkeypatch.undo()
    assert main([*arguments, "--output", str(run)]) == 0
    costs = json.loads((run / "costs.json").read_text("utf-8"))
    assert None not in costs.values()


# Imports once, and forks a process for every command: starting Python anew would take most of the time.
_COMMANDS = """
import json, os, sys
import aspire_llm.run_model, aspire_llm.commands, aspire_llm.methods.source
from aspire_llm.cli import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        os._exit(main(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# What stands there once a stage has got somewhere.
_SIGNS = (
    *(MARKER, "task_adapter.checkpoint", "samples.jsonl", "self_eval_adapter.checkpoint"),
    *("calibration_predictions.jsonl", "predictions.jsonl", "rival_samples.jsonl"),
)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, arguments: list[str], uninterrupted: dict[str, Any]) -> None:
    """At least 20 SIGKILLs, some in each stage; what ended before its kill is begun again with `--fresh`."""
    folder, draw, kills = tmp_path / "runs", random.Random(3), 0
    run, fresh, command = folder / "run", False, [*arguments, *METHODS, "--output", str(folder / "run")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen([sys.executable, "-c", _COMMANDS], env=environment, stderr=errors, **pipes) as commands,
    ):
        for sign in (*(sign for sign in _SIGNS for _ in range(4)), None):
            commands.stdin.write(json.dumps([*command, *(["--fresh"] if fresh else [])]) + "\n")
            commands.stdin.flush()
            process = int(commands.stdout.readline())
            if sign:
                _wait_for(sign, process, run)
                time.sleep(draw.uniform(0.0, 0.3))
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            status = int(commands.stdout.readline())
            assert status in (0, -signal.SIGKILL), (tmp_path / "errors").read_text("utf-8")
            fresh, kills = status == 0, kills + (status != 0)
            if status == 0:
                assert content(run) == uninterrupted
                assert [path.name for path in folder.iterdir()] == ["run"], "nothing is left beside the run"
        commands.stdin.close()
    assert kills >= 20
    assert fresh, "the last one was left to end"


def _wait_for(sign: str, process: int, run: Path) -> None:
    """Until a process that has locked the run has got as far as the sign, or has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and Path(f"/proc/{process}").exists():
        with suppress(OSError, ValueError):
            if json.loads((run / MARKER).read_text("utf-8"))["process"] == process and (run / sign).exists():
                return
        time.sleep(0.005)
