"""A row that is no question costs itself alone; a file that is none is one error."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from streamed import GOOD, RUN, TOO_LONG, StubPredictor, lines, rows_of, write

from aspire_llm.answering import predict_file
from aspire_llm.cli import main
from aspire_llm.data import QuestionStream, load_questions
from aspire_llm.errors import DataError
from aspire_llm.results.predictions import outcome_file, outcome_to_json

JSON_ERROR = "not JSON: Expecting value at line 2, column 1 (it ends too early: cut off?)"
UNKNOWN = "unknown structure (got 'frage'); understood are "


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.jsonl", GOOD + '{"question": \n\n{"question": "c?"}\n[1]\n', [
            ("a", None), ("d.jsonl:2", f"row 2: {JSON_ERROR}"), ("d.jsonl:4", None),
            ("d.jsonl:5", "row 5: expected an object with named values, got [1]")]),
        ("d.jsonl", '{"frage": "x?"}\n' + GOOD, [("d.jsonl:1", f"row 1: {UNKNOWN}"), ("a", None)]),
        ("d.jsonl", GOOD + '{"id": "b"}\n{"id": 7, "question": ["x"]}\n{"id": "d", "question": "too long"}\n', [
            ("a", None), ("b", "row 2: 'question' is missing"),
            ("7", "row 3: 'question' must be a string, got a list"), ("d", "shorten it")]),
        ("d.jsonl", GOOD + GOOD + '{"id": "b", "question": "a?"}\n', [
            ("a", None), ("a", "row 2: the id 'a' is taken by an earlier row; ids must be unique"), ("b", None)]),
        ("d.csv", "id,question\na,a?\nb\nc,\n\"d,d?\nd,too long\ne,e?\n", [
            ("a", None), ("d.csv:3", "row 3: expected 2 cells as in the header, got 1"),
            ("c", "row 4: 'question' is empty"),
            ("d.csv:5", "row 5: not a row of a table: unexpected end of data; close its quotes"),
            ("d", "shorten it"), ("e", None)]),
        ("d.csv", b"question\na?\n\xff\nc?\n", [
            ("d.csv:2", None), ("d.csv:3", "row 3: not UTF-8 text; save the file as UTF-8"), ("d.csv:4", None)]),
        ("d.csv", b"\xef\xbb\xbfquestion\ra?\r\"x\"y\rc?\r", [
            ("d.csv:2", None), ("d.csv:3", "row 3: not a row of a table: ',' expected after '\"'; close its quotes"),
            ("d.csv:4", None)]),
        ("d.tsv", "question\tanswer\na?\t1\n\"b?\t2\nc?\n", [
            ("d.tsv:2", None), ("d.tsv:3", None), ("d.tsv:4", "row 4: expected 2 cells as in the header, got 1")]),
        ("d.json", '[{"question": "a?"}, 3, {"question": "c?"}]', [
            ("d.json:1", None), ("d.json:2", "row 2: expected an object with named values, got 3"),
            ("d.json:3", None)]),
        ("d.json", '[{"id": "s", "story": "S", "questions": ["a?", "", "c?"]}]', [
            ("s:1", None), ("s:2", "row 1: turn 2: 'question' is empty"), ("s:3", None)]),
    ],
)  # fmt: skip
def test_a_bad_row_has_its_error_in_its_place(tmp_path: Path, name: str, content: str | bytes, expected: list) -> None:
    source, output = tmp_path / name, tmp_path / "out.jsonl"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    summary = predict_file(RUN, source, output)
    found = lines(output)
    assert [line["id"] for line in found] == [id for id, _ in expected]
    for line, (_, error) in zip(found, expected, strict=True):
        assert line.keys() == found[0].keys()
        if error is None:
            assert (line["error"], line["correct"]) == (None, None)
            assert line["answer"] or line["withheld_answer"]
            continue
        assert (line["answer"], line["withheld_answer"], line["confidence"], line["abstained"]) == (None,) * 3 + (True,)
        if error == "shorten it":
            assert (line["question"], line["error"]) == (TOO_LONG, error)
        else:
            assert line["question"] is None
            assert line["error"].startswith(f"{name}, {error}")
    bad = [error for _, error in expected if error]
    assert (summary.unread, summary.errors) == (len(bad) - bad.count("shorten it"), bad.count("shorten it"))
    assert summary.questions == len(expected) - summary.unread
    read_back = list(outcome_file("out.jsonl").each(tmp_path))
    assert [outcome_to_json(own) for own in read_back] == [
        line | {"references": tuple(line["references"])} | ({} if line["token_ids"] is None else {"token_ids": (1, 2)})
        for line in found
    ]


def test_bad_rows_of_parquet(tmp_path: Path) -> None:
    source, output = tmp_path / "d.parquet", tmp_path / "out.jsonl"
    parquet.write_table(pa.table({"id": ["a", "b", None, "a"], "question": ["a?", None, TOO_LONG, "d?"]}), source)
    predict_file(RUN, source, output)
    assert [(line["id"], line["question"], line["error"]) for line in lines(output)] == [
        ("a", "a?", None),
        ("b", None, "d.parquet, row 2: 'question' is missing"),
        ("d.parquet:3", TOO_LONG, "shorten it"),
        ("a", None, "d.parquet, row 4: the id 'a' is taken by an earlier row; ids must be unique"),
    ]


def test_a_question_that_rightly_stands_twice_counts_once(tmp_path: Path) -> None:
    source = tmp_path / "d.jsonl"
    row = {"Question": "a?", "QuestionId": "t1", "Answer": {"Value": "x", "Aliases": []}}
    rows = [row, row, row | {"Question": "b?"}, row]
    source.write_text("".join(json.dumps(own) + "\n" for own in rows), encoding="utf-8")
    first, other = QuestionStream(source)
    assert first == load_questions(source.with_name("d.jsonl"), limit=1)[0]
    assert str(other) == "d.jsonl, row 3: the id 't1' is taken by an earlier row; ids must be unique"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("d.txt", GOOD, "unknown suffix '.txt'"),
        ("d.jsonl", "\n", "holds no questions"),
        ("d.jsonl", '{"frage": "x?"}\nx\n', f"none of its 2 rows is a question (row 1: {UNKNOWN}"),
        ("d.csv", "frage\nx?\n", "row 1: expected a header row with a column 'question'"),
        ("d.csv", "question,question\nx?,x?\n", "row 1: the column 'question' stands twice"),
        ("d.json", '[{"question": "a?"}', "not JSON"),
        ("d.parquet", "PAR1", "not a Parquet file that can be read"),
    ],
)
def test_what_is_no_file_of_questions_is_one_error_before_any_answer(
    tmp_path: Path, name: str, content: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(content)
    StubPredictor.parts_left = 0
    assert main(["predict", "demo", "--input", str(tmp_path / name), "--output", str(tmp_path / "out.jsonl")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"aspire-llm: {tmp_path / name}")
    assert complaint in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_one_file_of_a_folder_without_a_question_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD)
    (tmp_path / "b.jsonl").write_text("x\n")
    with pytest.raises(DataError, match=r"b\.jsonl: none of its 1 rows is a question"):
        QuestionStream(tmp_path).count()


def test_parquet_that_breaks_off_is_no_file_with_a_bad_row(tmp_path: Path) -> None:
    source = write(tmp_path / "d.parquet", rows_of(3000))
    content = bytearray(source.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = b"\xff" * 200
    source.write_bytes(content)
    with pytest.raises(DataError, match="not a Parquet file that can be read"):
        QuestionStream(source).count()
