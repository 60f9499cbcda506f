"""Rows whose answers people have judged."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aspire_llm.data import load_marked, load_questions
from aspire_llm.errors import DataError
from aspire_llm.records import Mark

HEADER = ("id", "question", "context", "references", "answer", "withheld_answer", "correct", "error")


def line(**own: object) -> dict[str, object]:
    """A line of `aspire-llm predict`, as far as it matters here."""
    return dict.fromkeys(HEADER) | {"question": "Where?", "references": []} | own


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_mark_is_about_the_answer_of_its_row(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "Where?", "answer": " Ulm ", "correct": True, "context": "In Ulm."},
        {"id": "b", "question": "Who?", "answer": "Ada", "answers": ["Bob", "Eve"], "correct": False},
        {"id": "c", "question": "When?", "answer": ["1973", "'73"]},  # a question row like any other
    ]
    questions, marks = load_marked(write(tmp_path / "d.jsonl", rows))
    assert [(own.id, own.references, own.context) for own in questions] == [
        ("a", (), "In Ulm."),
        ("b", ("Bob", "Eve"), None),
        ("c", ("1973", "'73"), None),
    ]
    assert marks == {"a": Mark("Ulm", True), "b": Mark("Ada", False)}


def test_lines_of_predictions(tmp_path: Path) -> None:
    rows = [
        line(id="given", answer="Ulm", correct=True),
        line(id="withheld", withheld_answer="Bonn", correct=False, references=["Ulm"]),
        line(id="unmarked", answer="Bonn"),
        line(id="unmarked with references", answer="Bonn", references=["Ulm"]),
        line(id="not put", error="too long", references=["Ulm"]),
        line(id="empty", answer="", correct=False),
        line(id="brackets", answer="[edit]", correct=False),
    ]
    questions, marks = load_marked(write(tmp_path / "p.jsonl", rows))
    assert {own.id: own.references for own in questions} == {
        "given": (),
        "withheld": ("Ulm",),
        "unmarked": (),
        "unmarked with references": ("Ulm",),
        "not put": (),
        "empty": (),
        "brackets": (),
    }
    assert marks == {
        "given": Mark("Ulm", True),
        "withheld": Mark("Bonn", False),
        "empty": Mark("", False),
        "brackets": Mark("[edit]", False),
    }


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("False", False), ("1", True), ("0", False)])
def test_marks_in_tables(tmp_path: Path, text: str, expected: bool) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f'id,question,answer,correct,references\na,Where?,Ulm,{text},"[""Ulm""]"\nb,Who?,Ada,,\n')
    questions, marks = load_marked(path)
    assert marks == {"a": Mark("Ulm", expected)}
    # A row without a mark is a question row: its answer is a reference.
    assert [own.references for own in questions] == [("Ulm",), ("Ada",)]
    pq.write_table(pa.table({"question": ["Q?", "R?"], "answer": ["A", "B"], "correct": [expected, None]}), path)
    (tmp_path / "d.parquet").write_bytes(path.read_bytes())
    assert load_marked(tmp_path / "d.parquet")[1] == {"d.parquet:1": Mark("A", expected)}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Q?", "answer": "A", "correct": "yes"}, "'correct' must be true or false, got 'yes'"),
        ({"question": "Q?", "answer": "A", "correct": 2}, "'correct' must be true or false, got 2"),
        ({"question": "Q?", "answer": "A", "correct": 0.5}, "'correct' must be true or false, got 0.5"),
        ({"question": "Q?", "answer": "A", "correct": [True]}, r"'correct' must be true or false, got \[True\]"),
        ({"question": "Q?", "correct": True}, "'correct' is about an answer, and 'answer' is missing"),
        (line(correct=True), "'correct' is about an answer, and 'answer' is missing"),
        ({"question": "Q?", "answer": 3, "correct": True}, "'answer' must be a string, got a number"),
        ({"question": "Q?", "answer": None}, "there is no answer"),
    ],
)
def test_what_is_no_mark_is_named_with_its_row(tmp_path: Path, row: dict, said: str) -> None:
    path = write(tmp_path / "d.jsonl", [{"question": "Who?", "answer": "Ada"}, row])
    with pytest.raises(DataError, match=rf"d\.jsonl, row 2: {said}"):
        load_marked(path)


def test_marks_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    """A column of this name may be anything in other data, as it always could."""
    path = write(tmp_path / "d.jsonl", [{"question": "Q?", "answer": "A", "correct": "option B"}])
    assert [own.references for own in load_questions(path)] == [("A",)]
