"""Files of records: whole or absent, read back as written, and one clear line for what is broken."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aspire_llm.errors import RunDirectoryError
from aspire_llm.rundir.files import Document, Lines
from aspire_llm.rundir.writing import write_text

NUMBER = Document("number.json", "number", lambda number: {"number": number}, lambda content: float(content["number"]))
TEXTS = Lines("texts.jsonl", "text", lambda text: {"text": text}, lambda content: str(content["text"]))
ANSWERS = replace(TEXTS, name="answers.jsonl", id_of=lambda text: text.split()[-1])  # "Où est 3" is about question 3


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


def answers(places: Sequence[int]) -> list[str]:
    return [f"Où est {place}" for place in places]


def ids_of(count: int) -> list[str]:
    return [str(place) for place in range(count)]


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_filled_by_whole_parts(tmp_path: Path, count: int, size: int, cut: int) -> None:
    path, parts = tmp_path / ANSWERS.name, []

    def compute(part):
        parts.append(list(part))
        return answers(part)

    path.unlink(missing_ok=True)
    whole = ANSWERS.fill(tmp_path, "answers", ids_of(count), size, compute)
    assert whole == answers(range(count))
    content, uninterrupted = path.read_bytes(), list(parts)
    parts.clear()
    path.write_bytes(content[:cut])
    assert ANSWERS.fill(tmp_path, "answers", ids_of(count), size, compute) == whole
    assert path.read_bytes() == content
    assert all(part in uninterrupted for part in parts), "a resumed run computes the parts of an uninterrupted one"


@given(
    st.lists(st.integers(0, 7), max_size=9) | st.integers(0, 9).map(lambda count: [*range(7), 3, 8][:count]),
    st.integers(1, 5),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_lines_of_other_questions_are_neither_counted_nor_touched(tmp_path: Path, there: list[int], size: int) -> None:
    """Whichever lines a file of 7 answers was left with, in whichever order: all answers in order, or a refusal."""
    ANSWERS.write(tmp_path, answers(there))
    before = (tmp_path / ANSWERS.name).read_bytes()
    moved = next((n for n, (own, due) in enumerate(zip(there, range(7), strict=False), 1) if own != due), None)
    if moved is None:
        assert ANSWERS.fill(tmp_path, "answers", ids_of(7), size, answers) == answers(range(7))
        assert ANSWERS.read(tmp_path) == answers(range(7))
        return
    found, due = there[moved - 1], moved - 1
    said = rf"answers.jsonl line {moved} is about question '{found}', where '{due}' is due; .* from {moved} on"
    with pytest.raises(RunDirectoryError, match=said):
        ANSWERS.fill(tmp_path, "answers", ids_of(7), size, answers)
    assert (tmp_path / ANSWERS.name).read_bytes() == before
    (tmp_path / ANSWERS.name).write_bytes(b"".join(before.splitlines(keepends=True)[: moved - 1]))  # as it says
    assert ANSWERS.fill(tmp_path, "answers", ids_of(7), size, answers) == answers(range(7))


def test_no_question_is_read_twice(tmp_path: Path) -> None:
    ANSWERS.write(tmp_path, answers([0, 1, 2, 1]))
    with pytest.raises(RunDirectoryError, match=r"answers.jsonl line 4 is about question '1', as a line before it is"):
        ANSWERS.read(tmp_path)
    TEXTS.write(tmp_path, ["a", "a"])  # which are about no question
    assert TEXTS.read(tmp_path) == ["a", "a"]


def test_half_a_line_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n{"text": "b', encoding="utf-8")
    assert TEXTS.read_whole(tmp_path) == ["a"]
    (tmp_path / "texts.jsonl").write_bytes(b'{"text": "a"}\n{"text": "\xc3')  # and half a character none either
    assert TEXTS.read_whole(tmp_path) == ["a"]
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n{"text": "b', encoding="utf-8")
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
