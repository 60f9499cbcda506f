"""Ray Data answers every row once, whatever dies meanwhile."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from aspire_llm import SelectivePredictor
from aspire_llm.cli import main

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
_ROWS = 600


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet; one row is no question."""
    folder = tmp_path_factory.mktemp("questions")
    rows = [{"id": f"q{i}", "question": f"Where was piano {i} built?", "town": "Oslo"} for i in range(_ROWS)]
    rows[7]["question"] = " "
    for part in range(3):
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows[part::3]), folder / f"{part}.parquet")
    return folder


def started(run: Path, source: Path, output: Path, *options: str) -> "subprocess.Popen[bytes]":
    """The command with two workers."""
    code = "import sys; from aspire_llm.cli import main; sys.exit(main())"
    known = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RAY_USAGE_STATS_ENABLED": "0"}
    arguments = ["predict", run, "--input", source, "--output", output, "--engine", "ray", "--workers", "2", *options]
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def end_of(process: "subprocess.Popen[bytes]") -> str:
    out, err = (text.decode() for text in process.communicate(timeout=300))
    assert process.returncode == 0, err
    return out


def rows_of(output: Path) -> list[dict[str, Any]]:
    rows = pyarrow.dataset.dataset(output, format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda own: int(own["id"][1:]))


def written(output: Path) -> int:
    """How many rows a later try takes for written."""
    rows = 0
    for part in output.parent.glob(f"{output.name}.*.checkpoint/*.parquet"):
        with suppress(pyarrow.ArrowInvalid):  # it is being written
            rows += pyarrow.parquet.read_metadata(part).num_rows
    return rows


def wait_for_rows(process: "subprocess.Popen[bytes]", output: Path) -> None:
    while written(output) == 0:
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.01)


def workers_of(process: "subprocess.Popen[bytes]") -> Iterator[psutil.Process]:
    """The predictors of a command."""
    for own in psutil.Process(process.pid).children(recursive=True):
        try:
            title = " ".join(own.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::") and "_Worker" in title:
            yield own


@needs_ray
@pytest.mark.slow
def test_a_killed_worker_and_a_killed_command_lose_no_row_and_double_none(
    finished: Path, questions: Path, tmp_path: Path
) -> None:
    output = tmp_path / "answers"
    process = started(finished, questions, output)
    wait_for_rows(process, output)
    victims = list(workers_of(process))
    assert len(victims) == 2
    victims[0].kill()
    said = end_of(process)
    assert f"of {_ROWS} questions answered" in said
    found = rows_of(output)
    assert [row["id"] for row in found] == [f"q{i}" for i in range(_ROWS)]
    assert [row["id"] for row in found if row["error"]] == ["q7"]

    expected = SelectivePredictor.load(finished).predict([f"Where was piano {i} built?" for i in (0, 8, _ROWS - 1)])
    for prediction, row in zip(expected, (found[0], found[8], found[_ROWS - 1]), strict=True):
        assert json.loads(row["line"])["withheld_answer" if row["abstained"] else "answer"] == prediction.sampled.text
        assert row["selection_score"] == pytest.approx(prediction.scored.selection_score, abs=1e-4)
        assert json.loads(row["line"])["metadata"] == {"town": "Oslo"}

    again = tmp_path / "again"
    process = started(finished, questions, again)
    wait_for_rows(process, again)
    for own in psutil.Process(process.pid).children(recursive=True):
        own.kill()
    process.kill()
    process.communicate()
    assert 0 < written(again) < _ROWS
    end_of(started(finished, questions, again))
    assert [row["id"] for row in rows_of(again)] == [f"q{i}" for i in range(_ROWS)]
    end_of(started(finished, questions, again))  # all is there
    assert len(rows_of(again)) == _ROWS


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_tables_and_json_lines_are_read_and_another_input_takes_another_folder(
    finished: Path, tmp_path: Path, kind: str
) -> None:
    source, output = tmp_path / f"q.{kind}", tmp_path / "answers"
    rows = [{"id": f"00{i}", "question": f"Where was piano {i} built?"} for i in range(3)]
    lines = [json.dumps(row) if kind == "jsonl" else ",".join(row.values()) for row in rows]
    source.write_text("\n".join([*(["id,question"] if kind == "csv" else []), *lines]) + "\n")
    end_of(started(finished, source, output))
    found = pyarrow.dataset.dataset(output, format="parquet").to_table().to_pylist()
    assert sorted(row["id"] for row in found) == ["000", "001", "002"]
    source.write_text(source.read_text().replace("piano 1", "piano 7"))
    process = started(finished, source, output)
    assert "not of this run and input" in process.communicate()[1].decode()
    assert process.returncode == 2


@needs_ray
@pytest.mark.slow
def test_rows_without_ids_and_folders_with_something_else_are_refused(finished: Path, tmp_path: Path) -> None:
    source, other = tmp_path / "q.parquet", tmp_path / "other"
    pyarrow.parquet.write_table(pa.table({"id": ["a"], "question": ["Where was it built?"]}), source)
    other.mkdir()
    (other / "mine.txt").write_text("kept")
    process = started(finished, source, other)
    assert "is not empty" in process.communicate()[1].decode()
    assert process.returncode == 2
    for ids, said in (
        (None, "every row needs an 'id' by which it is known, a text or a whole number"),
        (["a", "b", None], "every row needs an 'id' by which it is known; one has none"),
        (["a", "b", "a"], "the id 'a' stands on two rows; ids must be unique"),
        ([1, 2, 2], "the id 2 stands on two rows"),
    ):
        pyarrow.parquet.write_table(pa.table(({"id": ids} if ids else {}) | {"question": ["Where is it?"] * 3}), source)
        process = started(finished, source, tmp_path / "answers")
        assert said in process.communicate()[1].decode()
        assert process.returncode == 2
        assert not (tmp_path / "answers").exists()


@needs_ray
@pytest.mark.slow
def test_what_ray_cannot_read_or_write_is_one_line(finished: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pyarrow.parquet.write_table(pa.table({"id": ["a"], "question": ["Where is it?"]}), whole)
    for name, content in (
        ("q.parquet", whole.read_bytes()[:-9]),
        ("q.jsonl", b'{"id": "a", "question": "Where?"}\n{"id": "b", "question":\n'),
        ("q.csv", b"id,question\na,Where?\nb,Where?,now\n"),
    ):
        (tmp_path / name).write_bytes(content)
        process = started(finished, tmp_path / name, tmp_path / "answers")
        said = process.communicate()[1].decode().splitlines()
        assert process.returncode == 2
        assert said[-1].startswith(f"aspire-llm: {tmp_path / name}: cannot be read (")
        assert not (tmp_path / "answers").exists()
    (tmp_path / "file").write_text("kept")
    process = started(finished, whole, tmp_path / "file" / "answers")
    said = process.communicate()[1].decode().splitlines()
    assert process.returncode == 2
    assert str(tmp_path / "file") in said[-1]
    assert said[-1].startswith("aspire-llm: ")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("{questions}/answers", "would be read with"),
        ("{questions}", "would be read with"),
        ("file://{questions}/answers", "would be read with"),
        ("{link}/below/answers", "would be read with"),
        ("{run}/answers", "lies inside the run"),
        ("foo://bucket/answers", "foo://bucket/answers: no storage that pyarrow knows"),
    ],
)
def test_answers_lie_neither_among_the_questions_nor_in_a_run(
    finished: Path,
    questions: Path,
    tmp_path: Path,
    output: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aspire_llm.ray_data.find_spec", lambda _name: True)  # it is refused before Ray begins
    (tmp_path / "link").symlink_to(questions)
    before = [sorted(folder.rglob("*")) for folder in (questions, finished)]
    place = output.format(questions=questions, link=tmp_path / "link", run=finished)
    assert main(["predict", str(finished), "--input", str(questions), "--output", place, "--engine", "ray"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [sorted(folder.rglob("*")) for folder in (questions, finished)] == before


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_package_to_install_is_named(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", str(finished), "--input", "q.parquet", "--output", str(tmp_path / "o"), "--engine", "ray"]
    assert main(arguments) == 2
    assert "pip install 'aspire-llm[ray]'" in capsys.readouterr().err
