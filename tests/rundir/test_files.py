"""Files of records: whole or absent, read back as written, and one clear line for what is broken."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aspire_llm.errors import RunDirectoryError
from aspire_llm.rundir.files import Document, Lines
from aspire_llm.rundir.writing import write_text

NUMBER = Document("number.json", "number", lambda number: {"number": number}, lambda content: float(content["number"]))
TEXTS = Lines("texts.jsonl", "text", lambda text: {"text": text}, lambda content: str(content["text"]))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_back(tmp_path: Path, texts: list[str]) -> None:
    TEXTS.write(tmp_path, texts)
    assert TEXTS.read(tmp_path) == texts


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", '{"number": null}', '{"number": NaN}', '{"number": "x"}'])
def test_a_broken_document_is_one_line_that_names_it(tmp_path: Path, broken: str) -> None:
    (tmp_path / "number.json").write_text(broken, encoding="utf-8")
    with pytest.raises(RunDirectoryError) as error:
        NUMBER.read(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'number.json'} holds no number (")
    assert "\n" not in str(error.value)


def test_a_number_beyond_all_is_no_count(tmp_path: Path) -> None:
    def count(content: dict[str, float]) -> int:
        return int(content["count"])

    for file in (Document("a.json", "count", dict, count), Lines("b.jsonl", "count", dict, count)):
        (tmp_path / file.name).write_text('{"count": 1e999}\n', encoding="utf-8")
        with pytest.raises(RunDirectoryError, match=rf"{file.name}.* holds no count"):
            file.read(tmp_path)


def test_a_missing_file_and_a_broken_line_are_named(tmp_path: Path) -> None:
    for file in (NUMBER, TEXTS):
        assert not file.exists(tmp_path)
        with pytest.raises(RunDirectoryError, match=f"{file.name}: missing"):
            file.read(tmp_path)
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n', encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"texts.jsonl line 2 holds no text \('text' is missing\)"):
        TEXTS.read(tmp_path)
    (tmp_path / "texts.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(RunDirectoryError, match="no UTF-8 text"):
        TEXTS.read(tmp_path)


def test_no_number_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        NUMBER.write(tmp_path, float("nan"))
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_filled_by_whole_parts(tmp_path: Path, count: int, size: int, cut: int) -> None:
    path, parts = tmp_path / "texts.jsonl", []

    def compute(part):
        parts.append(list(part))
        return [f"item {item}" for item in part]

    path.unlink(missing_ok=True)
    whole = TEXTS.fill(tmp_path, "items", range(count), size, compute)
    assert whole == [f"item {i}" for i in range(count)]
    content, uninterrupted = path.read_bytes(), list(parts)
    parts.clear()
    path.write_bytes(content[:cut])
    assert TEXTS.fill(tmp_path, "items", range(count), size, compute) == whole
    assert path.read_bytes() == content
    assert all(part in uninterrupted for part in parts), "a resumed run computes the parts of an uninterrupted one"


def test_half_a_line_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n{"text": "b', encoding="utf-8")
    assert TEXTS.read_whole(tmp_path) == ["a"]
    with pytest.raises(RunDirectoryError, match="line 2"):
        TEXTS.read(tmp_path)


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    write_text(path, json.dumps({"é": 1}, ensure_ascii=False))
    assert path.read_bytes() == b'{"\xc3\xa9": 1}'
