"""Stored answers are those to the questions in their order, or nothing is computed from them."""

import itertools
import json
import shutil
from pathlib import Path

import pytest

from aspire_llm.cli import main
from aspire_llm.errors import RunDirectoryError
from aspire_llm.serving.served_model import Stored

METHODS = ["--methods", "predictive_entropy"]
FILES = (
    *("samples.jsonl", "predictions.jsonl", "predictions_untuned.jsonl", "rival_samples.jsonl"),
    *("calibration_predictions.jsonl", "validation_predictions.jsonl"),
)
CALIBRATE = ["--target-risk", "0.4"]
HOWS = ["lost", "twice", "swapped", "the first lost"]
# Tried each time: one way in every file, and every way in one file.
QUICK = {*((name, HOWS[0]) for name in FILES), *((FILES[0], how) for how in HOWS)}


@pytest.fixture(scope="module")
def answered(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every file of answers."""
    folder = tmp_path_factory.mktemp("answered") / "run"
    command = [*arguments, *METHODS, "--set", "rivals.untuned=true", "--output", str(folder)]
    assert main(command) == 0
    assert main(["calibrate", str(folder), *CALIBRATE]) == 0  # which answers the validation questions
    return folder


@pytest.fixture
def run(answered: Path, tmp_path: Path) -> Path:
    shutil.copytree(answered, tmp_path / "run")
    return tmp_path / "run"


def damaged(path: Path, how: str) -> int:
    """Break the order of the lines; the number of the first that is not where it should be."""
    lines = path.read_bytes().splitlines(keepends=True)
    match how:
        case "lost":
            del lines[4]
        case "twice":
            lines[5:] = lines[4:-1]  # and as many as there should be
        case "swapped":
            lines[4], lines[5] = lines[5], lines[4]
        case _:
            lines = lines[1:]  # and no line behind it
    path.write_bytes(b"".join(lines))
    return {"lost": 5, "twice": 6, "swapped": 5}.get(how, 1)


def refusal(capsys: pytest.CaptureFixture[str], command: list[str]) -> str:
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def told(run: Path, name: str) -> list[dict]:
    """What a file holds but for times."""
    lines = [json.loads(line) for line in (run / name).read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize(
    ("name", "how"),
    [pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow) for pair in itertools.product(FILES, HOWS)],
)
def test_a_line_that_is_not_where_it_was_is_told_and_nothing_follows_from_it(
    capsys, run: Path, answered: Path, arguments: list[str], name: str, how: str
) -> None:
    line = damaged(run / name, how)
    before, figures = (run / name).read_bytes(), (run / "metrics.json").read_bytes()
    command = [*arguments, *METHODS, "--set", "rivals.untuned=true", "--set", "stage2.batch_size=1"]
    again = ["calibrate", str(run), *CALIBRATE] if name.startswith("valid") else [*command, "--output", str(run)]
    if name.startswith("rival"):
        (run / "scores" / "predictive_entropy.json").unlink()  # which follows from them
    assert f"{name} line {line} is about question" in refusal(capsys, again)
    assert (run / name).read_bytes() == before
    assert (run / "metrics.json").read_bytes() == figures

    (run / name).write_bytes(b"".join(before.splitlines(keepends=True)[: line - 1]))  # as the message says
    assert main(again) == 0
    assert [own["id"] for own in told(run, name)] == [own["id"] for own in told(answered, name)]


def with_a_line_again(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[2]]))


@pytest.mark.parametrize("name", ["calibration_predictions.jsonl", "validation_predictions.jsonl"])
def test_a_server_promises_nothing_on_a_question_twice(run: Path, name: str) -> None:
    Stored.read(run)
    with_a_line_again(run / name)
    with pytest.raises(RunDirectoryError, match=rf"{name} line \d+ is about question .*, as a line before it is"):
        Stored.read(run)


def test_nor_does_a_calibration_on_other_questions(capsys, run: Path, data_file: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in data_file.read_text(encoding="utf-8").splitlines()]
    known = {own["id"] for name in FILES for own in told(run, name)}
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(own) + "\n" for own in rows if own["id"] not in known), encoding="utf-8")
    assert main(["calibrate", str(run), "--data", str(other), *CALIBRATE]) == 0
    promise = (run / "calibration.json").read_bytes()
    with_a_line_again(run / "labelled_predictions.jsonl")
    assert "labelled_predictions.jsonl line" in refusal(capsys, ["calibrate", str(run), *CALIBRATE])
    assert (run / "calibration.json").read_bytes() == promise


def test_a_method_that_learns_from_samples_says_which_are_lost(capsys, run: Path) -> None:
    damaged(run / "samples.jsonl", "lost")
    assert "samples.jsonl" in refusal(capsys, ["evaluate", str(run), "--methods", "hidden_state_probe"])
