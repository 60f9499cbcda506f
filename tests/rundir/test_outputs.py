"""Where results go: through links, into streams, never over them; and what happens where they cannot go."""

import errno
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from aspire_llm.cli import main
from aspire_llm.lm.tensor_file import write_tensors
from aspire_llm.report import write_accuracy_coverage_png
from aspire_llm.rundir.writing import write_text

QUESTIONS = "".join(json.dumps({"question": f"Where was piano {i} built?"}) + "\n" for i in range(11))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text(QUESTIONS, encoding="utf-8")
    return path


@pytest.fixture
def answered(whole: Path, source: Path, tmp_path: Path) -> bytes:
    """What goes into an ordinary file."""
    assert main(["predict", str(whole), "--input", str(source), "--output", str(tmp_path / "plain.jsonl")]) == 0
    return (tmp_path / "plain.jsonl").read_bytes()


@contextmanager
def reader(path: Path) -> Iterator[list[bytes]]:
    """Reads a FIFO to its end."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    thread.start()
    yield found
    thread.join(timeout=60)


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Whatever is written beyond fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_predictions_go_through_links(whole: Path, source: Path, answered: bytes, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "there.jsonl").write_text("old", encoding="utf-8")
    (disk / "there.jsonl").chmod(0o600)
    for name in ("there.jsonl", "not_there_yet.jsonl"):
        link = tmp_path / f"link_to_{name}"
        link.symlink_to(disk / name)
        assert main(["predict", str(whole), "--input", str(source), "--output", str(link)]) == 0
        assert link.is_symlink()
        assert (disk / name).read_bytes() == answered
    assert (disk / "there.jsonl").stat().st_mode & 0o777 == 0o600, "what was private stays so"
    assert {path.name for path in disk.iterdir()} == {"there.jsonl", "not_there_yet.jsonl"}


def test_predictions_go_into_a_fifo_and_a_device(whole: Path, source: Path, answered: bytes, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with reader(fifo) as found:
        assert main(["predict", str(whole), "--input", str(source), "--output", str(fifo)]) == 0
    assert json_lines(found[0]) == json_lines(answered)
    assert fifo.is_fifo()
    null = os.stat("/dev/null")
    assert main(["predict", str(whole), "--input", str(source), "--output", "/dev/null"]) == 0
    assert os.stat("/dev/null").st_rdev == null.st_rdev


def json_lines(content: bytes) -> list[tuple[str, str]]:
    return [(line["question"], line["why"]) for line in map(json.loads, content.splitlines())]


def test_standard_input_and_output(whole: Path, answered: bytes, tmp_path: Path, capfdbinary, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(QUESTIONS.encode())))
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert main(["predict", str(whole), "--input", "-", "--output", "-"]) == 0
    captured = capfdbinary.readouterr()
    assert json_lines(captured.out) == json_lines(answered)
    assert b"of 11 questions answered" in captured.err
    assert set(tmp_path.iterdir()) == before
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"question": "Who?"}\n{"question": \n')))
    assert main(["predict", str(whole), "--input", "-", "--output", "-"]) == 0
    good, bad = map(json.loads, capfdbinary.readouterr().out.splitlines())
    assert (good["question"], good["error"]) == ("Who?", None)
    assert bad["id"] == "stdin.jsonl:2"
    assert bad["error"].startswith("stdin.jsonl, row 2: not JSON")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"question": \n')))
    assert main(["predict", str(whole), "--input", "-", "--output", "-"]) == 2
    captured = capfdbinary.readouterr()
    assert captured.err.startswith(b"aspire-llm: stdin.jsonl: none of its 1 rows is a question (row 1: not JSON")
    assert not captured.out


def test_questions_come_from_a_fifo(whole: Path, answered: bytes, tmp_path: Path) -> None:
    fifo, output = tmp_path / "fifo", tmp_path / "p.jsonl"
    os.mkfifo(fifo)
    thread = threading.Thread(target=lambda: fifo.write_text(QUESTIONS, encoding="utf-8"), daemon=True)
    thread.start()
    assert main(["predict", str(whole), "--input", str(fifo), "--output", str(output)]) == 0
    thread.join(timeout=60)
    assert json_lines(output.read_bytes()) == json_lines(answered)


def test_other_outputs_go_through_links_and_into_streams(whole: Path, tmp_path: Path) -> None:
    disk, folder = tmp_path / "disk", tmp_path / "compared"
    disk.mkdir()
    folder.mkdir()
    (folder / "methods.csv").symlink_to(disk / "methods.csv")
    os.mkfifo(folder / "comparison.html")
    with reader(folder / "comparison.html") as found:
        assert main(["compare", str(whole), "--output", str(folder)]) == 0
    assert (folder / "methods.csv").is_symlink()
    assert (disk / "methods.csv").read_text(encoding="utf-8").startswith("method,")
    assert found[0].lower().startswith(b"<!doctype html>")
    assert (folder / "comparison.html").is_fifo()
    picture = tmp_path / "picture.png"
    picture.symlink_to(disk / "picture.png")
    write_accuracy_coverage_png(whole, picture)
    assert picture.is_symlink()
    assert (disk / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_through_links(whole: Path, tmp_path: Path, arguments: list[str]) -> None:
    run, disk = tmp_path / "run", tmp_path / "disk"
    shutil.copytree(whole, run)
    disk.mkdir()
    for name in ("report.html", "predictions.jsonl"):
        shutil.move(run / name, disk / name)
        (run / name).symlink_to(disk / name)
    assert main([*arguments, "--set", "score.alpha=0.5", "--output", str(run)]) == 0
    for name in ("report.html", "predictions.jsonl"):
        assert (run / name).is_symlink()
        assert (disk / name).read_bytes() != (whole / name).read_bytes()


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    capsys, whole: Path, tmp_path: Path, arguments: list[str]
) -> None:
    run = tmp_path / "run"
    limit = (whole / "samples.jsonl").stat().st_size // 2
    with files_no_longer_than(limit):
        assert main([*arguments, "--output", str(run)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("aspire-llm: ")
    assert os.strerror(errno.EFBIG) in last
    assert not (run / "self_eval_adapter").exists()
    assert main([*arguments, "--output", str(run)]) == 0
    for name in ("samples.jsonl", "predictions.jsonl", "metrics.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_a_full_disk_leaves_the_old_file(capsys, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "compared"
    assert main(["compare", str(whole), "--output", str(folder)]) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    with files_no_longer_than(100):
        assert main(["compare", str(whole), "--output", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    tensors = tmp_path / "state"
    write_tensors(tensors, {"a": torch.zeros(3)}, {})
    old = tensors.read_bytes()
    with files_no_longer_than(1000), pytest.raises(OSError, match=r"(?i)file too large"):
        write_tensors(tensors, {"a": torch.zeros(30_000)}, {})
    assert tensors.read_bytes() == old
    assert {path.name for path in tmp_path.iterdir()} == {"compared", "state"}


def test_a_place_that_cannot_be_written_to(capsys, whole: Path, source: Path, arguments: list[str]) -> None:
    nowhere = "/proc/self/none"
    for command in (
        [*arguments, "--output", nowhere],
        ["compare", str(whole), "--output", nowhere],
        ["predict", str(whole), "--input", str(source), "--output", "/proc/self/none"],
        ["predict", str(whole), "--input", str(source), "--output", str(source / "x.jsonl")],
    ):
        capsys.readouterr()
        assert main(command) == 2
        *_, error = capsys.readouterr().err.splitlines()
        assert error.startswith("aspire-llm: ")


def test_a_closed_pipe_is_silent(command, whole: Path, data_file: Path) -> None:
    for call in (["compare", whole], ["data", "check", data_file]):
        end, start = os.pipe()
        os.close(end)
        process = command(*call, stdout=start)
        os.close(start)
        _, error = process.communicate(timeout=120)
        assert (process.returncode, error) == (2, b"")


@pytest.fixture
def closing(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """Starts the command line with some of its standard streams closed by the shell."""

    def start(closed: str, *arguments: str | Path) -> "subprocess.CompletedProcess[bytes]":
        call = ["sh", "-c", f'exec "$0" -m aspire_llm "$@" {closed}', sys.executable, *map(str, arguments)]
        known = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(call, env=known, capture_output=True, timeout=120, cwd=tmp_path, check=False)

    return start


@pytest.mark.parametrize(
    "closed", [">&-", *(pytest.param(own, marks=pytest.mark.slow) for own in ("2>&-", "<&- >&- 2>&-"))]
)
def test_closed_streams(closing, whole: Path, source: Path, answered: bytes, tmp_path: Path, closed: str) -> None:
    """As a daemon or a careless script starts a command."""
    done = closing(closed, "predict", whole, "--input", source, "--output", "p.jsonl")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.jsonl").read_bytes() == answered
    assert closing(closed, "compare", whole, "--output", "compared").returncode == 0
    assert closing(closed, "compare", tmp_path).returncode == 2


@pytest.mark.parametrize(
    "place",
    ["-", *(pytest.param(own, marks=pytest.mark.slow) for own in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"))],
)
def test_a_closed_output_is_nothing_to_write_to(closing, whole: Path, source: Path, place: str) -> None:
    done = closing(">&-", "predict", whole, "--input", source, "--output", place)
    assert done.returncode == 2
    said = f"aspire-llm: --output {place} is standard output, which is closed; give a file\n"
    assert done.stderr.decode() == said


def test_a_closed_input_is_nothing_to_read(closing, whole: Path) -> None:
    done = closing("<&-", "predict", whole, "--input", "-", "--output", "p.jsonl")
    assert done.returncode == 2
    assert done.stderr == b"aspire-llm: --input - is standard input, which is closed; give a file\n"


def test_an_output_that_takes_nothing_more_or_not_every_character(command, whole: Path, data_file: Path) -> None:
    with open("/dev/full", "wb") as full:
        for call in (["compare", whole], ["data", "check", data_file]):
            process = command(*call, stdout=full)
            _, error = process.communicate(timeout=120)
            assert process.returncode == 2
            assert error.decode().count("\n") == 1, error
            assert os.strerror(errno.ENOSPC) in error.decode()
    process = command("compare", whole, environment={"PYTHONIOENCODING": "ascii"})
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error.decode().count("\n") == 1, error
    assert "set PYTHONIOENCODING=utf-8" in error.decode()


def test_lines_are_utf_8_whatever_the_terminal_is(whole: Path, tmp_path: Path, monkeypatch) -> None:
    source = tmp_path / "q.jsonl"
    source.write_text(json.dumps({"question": "Où?"}, ensure_ascii=False), encoding="utf-8")
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    assert main(["predict", str(whole), "--input", str(source), "--output", "-"]) == 0
    assert json.loads(output.getvalue())["question"] == "Où?"


def test_temporary_names_are_unique(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (used.append(str(a)), replace(a, b)))
    for text in ("a", "b"):
        write_text(tmp_path / "x", text)
    assert len(set(used)) == 2
