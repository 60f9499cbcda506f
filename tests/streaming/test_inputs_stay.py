"""No answer takes the place of a question, nor stands where it would be read as one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamed import RUN, lines, rows_of, write

from aspire_llm.answering import predict_file
from aspire_llm.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Questions in two files, one of which is a link to where it is kept."""
    path = tmp_path / "asked"
    path.mkdir()
    write(path / "mine.jsonl", rows_of(3))
    kept = write(tmp_path / "kept.jsonl", ({**row, "id": f"k{row['id']}"} for row in rows_of(3)))
    (path / "link.jsonl").symlink_to(kept)
    return path


def content(place: Path) -> dict[str, bytes]:
    return {str(own.relative_to(place)): own.read_bytes() for own in place.rglob("*") if own.is_file()}


@pytest.mark.parametrize(
    "output", ["asked/mine.jsonl", "asked/new.jsonl", "asked/new.CSV", "kept.jsonl", "there.jsonl"]
)
def test_no_file_of_a_folder_is_replaced_and_none_comes_to_it(tmp_path: Path, folder: Path, output: str) -> None:
    os.link(folder / "mine.jsonl", tmp_path / "there.jsonl")
    before = content(tmp_path)
    with pytest.raises(ConfigError, match=r"read as questions of .*; give a file elsewhere"):
        predict_file(RUN, folder, tmp_path / output)
    assert content(tmp_path) == before


@pytest.mark.parametrize("way", ["link to the folder", "link to the output", "link in the folder", "dots"])
def test_nor_by_a_detour(tmp_path: Path, folder: Path, way: str) -> None:
    source, output = folder, tmp_path / "out.jsonl"
    match way:
        case "link to the folder":
            (tmp_path / "way").symlink_to(folder)
            source = tmp_path / "way"
            output = folder / "new.jsonl"
        case "link to the output":
            output.symlink_to(folder / "new.jsonl")
        case "link in the folder":
            (folder / "new.jsonl").symlink_to(tmp_path / "not_there_yet.txt")
            output = folder / "new.jsonl"
        case _:
            output = tmp_path / "asked" / ".." / "asked" / "new.jsonl"
    before = content(tmp_path)
    with pytest.raises(ConfigError, match="read as questions"):
        predict_file(RUN, source, output)
    assert content(tmp_path) == before


@pytest.mark.parametrize("output", ["asked/answers.txt", "asked/.hidden.jsonl", "asked/below/new.jsonl", "new.jsonl"])
def test_what_is_not_read_with_a_folder_may_stand_there(tmp_path: Path, folder: Path, output: str) -> None:
    (folder / "below").mkdir()
    for _ in range(2):
        assert predict_file(RUN, folder, tmp_path / output).questions == 6
    assert len(lines(tmp_path / output)) == 6


@pytest.mark.parametrize("kind", ["hard link", "link", "itself"])
def test_a_file_of_questions_stays_under_any_of_its_names(tmp_path: Path, kind: str) -> None:
    source, output = write(tmp_path / "in.jsonl", rows_of(3)), tmp_path / "out.jsonl"
    match kind:
        case "hard link":
            os.link(source, output)
        case "link":
            output.symlink_to(source)
        case _:
            output = source
    before = source.read_bytes()
    with pytest.raises(ConfigError, match="is the input"):
        predict_file(RUN, source, output)
    assert source.read_bytes() == before


@pytest.mark.slow
def test_a_file_stays_that_standard_input_is_read_from_or_standard_output_goes_to(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", rows_of(3))
    before = source.read_bytes()
    code = "import sys; from aspire_llm.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "predict", "demo"]
    known = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with source.open("rb") as read, source.open("ab") as written:
        for options, pipes in (
            (["--input", "-", "--output", str(source)], {"stdin": read}),
            (["--input", str(source), "--output", "-"], {"stdout": written}),
        ):
            ended = subprocess.run([*command, *options], env=known, stderr=subprocess.PIPE, timeout=120, **pipes)
            assert ended.returncode == 2
            assert ended.stderr.count(b"\n") == 1
            assert b"is the input" in ended.stderr
    assert source.read_bytes() == before
