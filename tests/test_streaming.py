"""Files of questions of any length: the order, bad rows, kills, fields, and how much memory they take.

A predictor that needs no model answers each question by the questions that it was asked with, so that a file shows how
it was cut into parts.
"""

import csv
import json
import random
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from aspire_llm.answering import predict_file
from aspire_llm.cli import main
from aspire_llm.data import QuestionStream, load_questions
from aspire_llm.data.hash_set import HashSet
from aspire_llm.errors import DataError
from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer, Unanswered
from aspire_llm.results.chosen_fields import Layout
from aspire_llm.results.predictions import outcome_file, outcome_to_json
from aspire_llm.selection import AspireScore, DecisionRule, Infeasible

RUN, TOO_LONG = Path("demo"), "too long"
FORMATS = ["jsonl", "csv", "parquet"]


class Interrupted(BaseException):
    """Nothing handles it, as nothing handles a SIGKILL."""


class StubPredictor:
    """Answers a question with its place among those that it is asked with, and their number."""

    caveats = ("it is a stub",)
    rule = DecisionRule(AspireScore(0.0), 0.0, 0.7, Infeasible("it is a stub"))
    parts_left: int | None = None

    @classmethod
    def load(cls, run: Path, *, target_risk: float | None = None) -> "StubPredictor":
        return cls()

    def predict_each(self, questions: Sequence[Question]) -> list[Prediction | Unanswered]:
        if StubPredictor.parts_left is not None:
            if not StubPredictor.parts_left:
                raise Interrupted
            StubPredictor.parts_left -= 1
        return [
            Unanswered(own, "shorten it") if own.question == TOO_LONG else self.answer(own, place, len(questions))
            for place, own in enumerate(questions)
        ]

    def answer(self, question: Question, place: int, count: int) -> Prediction:
        beams = tuple(
            SampledAnswer(f"{place} of {count}{mark}", (1, 2), log_likelihood, 3)
            for mark, log_likelihood in (("", -0.5), ("?", -1.5), ("!", -2.5))
        )
        return Prediction(question, ScoredAnswer(Evidence(beams[0], beams=beams), -0.5), abstained=place % 2 == 1)


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aspire_llm.predictor.SelectivePredictor.load", StubPredictor.load)
    monkeypatch.setattr(StubPredictor, "parts_left", None)


def rows_of(count: int) -> Iterator[dict[str, str]]:
    for number in range(count):
        yield {"id": f"q{number}", "question": f"Where is number {number}?", "context": f"Number {number} is here."}


def write(path: Path, rows: Iterator[dict[str, str]]) -> Path:
    """Rows of one shape into a file as its suffix says, a few at a time."""
    match path.suffix:
        case ".jsonl":
            with path.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        case ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file)
                table.writerow(["id", "question", "context"])
                table.writerows(row.values() for row in rows)
        case _:
            parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def part_of(output: Path) -> Path:
    (part,) = output.parent.glob(f"{output.name}.*.part")
    return part


@pytest.mark.parametrize("suffix", FORMATS)
def test_questions_keep_their_order_their_ids_and_their_parts(tmp_path: Path, suffix: str) -> None:
    source, output = write(tmp_path / f"in.{suffix}", rows_of(101)), tmp_path / "out.jsonl"
    summary = predict_file(RUN, source, output)
    found = lines(output)
    assert [(line["id"], line["question"]) for line in found] == [
        (own.id, own.question) for own in load_questions(source, require_answers=False)
    ]
    size = int(found[0]["answer"].split()[-1])
    expected = [f"{i % size} of {size if i < 101 // size * size else 101 % size}" for i in range(101)]
    assert [line["answer"] or line["withheld_answer"] for line in found] == expected
    assert (summary.questions, summary.answered, summary.errors, summary.unread) == (101, sum(
        line["answer"] is not None for line in found), 0, 0)  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "out.jsonl"}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("options", [{}, {"candidates": True}, {"fields": frozenset(["id", "answer"])}])
def test_killed_anywhere_it_ends_with_the_file_of_an_uninterrupted_run(
    tmp_path: Path, suffix: str, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, whole, output = Layout(**options), tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    source = write(tmp_path / f"in.{suffix}", rows_of(150))
    with_bad_rows(source)
    expected = predict_file(RUN, source, whole, layout=layout)
    for parts in range(3):
        monkeypatch.setattr(StubPredictor, "parts_left", parts)
        with pytest.raises(Interrupted):
            predict_file(RUN, source, output, layout=layout)
        part = part_of(output)
        assert not output.exists()
        if parts:  # and in the middle of a write
            part.write_bytes(part.read_bytes()[: -40 * parts])
    monkeypatch.setattr(StubPredictor, "parts_left", None)
    assert predict_file(RUN, source, output, layout=layout) == expected
    assert output.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def with_bad_rows(source: Path) -> None:
    """Break two rows where the format lets one."""
    if source.suffix == ".parquet":
        return
    content = source.read_bytes().splitlines(keepends=True)
    content[8], content[70] = b'{"id": \n' if source.suffix == ".jsonl" else b"a,b,c,d,e\n", b"\xff\n"
    source.write_bytes(b"".join(content))


def test_only_what_was_not_answered_is_answered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write(tmp_path / "in.jsonl", rows_of(150)), tmp_path / "out.jsonl"
    monkeypatch.setattr(StubPredictor, "parts_left", 2)
    with pytest.raises(Interrupted):
        predict_file(RUN, source, output)
    size, begun = len(lines(part_of(output))) // 2, part_of(output).read_bytes()
    monkeypatch.setattr(StubPredictor, "parts_left", -(-150 // size) - 2)
    assert predict_file(RUN, source, output).questions == 150
    assert output.read_bytes().startswith(begun)


@pytest.mark.parametrize("fields", [None, frozenset(["id", "answer"])])
def test_killed_before_it_is_published(
    tmp_path: Path, fields: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, whole, output = Layout(fields), tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    source = write(tmp_path / "in.jsonl", rows_of(150))
    predict_file(RUN, source, whole, layout=layout)

    def killed(_source: object, _target: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", killed)
        with pytest.raises(Interrupted):
            predict_file(RUN, source, output, layout=layout)
    assert not output.exists()
    monkeypatch.setattr(StubPredictor, "parts_left", 1)  # the last one, which is not whole
    predict_file(RUN, source, output, layout=layout)
    assert output.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "whole.jsonl"}


@pytest.mark.parametrize("change", ["a question", "a context", "fewer rows", "an id", "a bad row"])
@pytest.mark.parametrize("fields", [None, frozenset(["id", "answer"])])
def test_a_part_of_another_input_is_not_gone_on_with(
    tmp_path: Path, change: str, fields: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output, layout = tmp_path / "in.jsonl", tmp_path / "out.jsonl", Layout(fields)
    write(source, rows_of(150))
    monkeypatch.setattr(StubPredictor, "parts_left", 2)
    with pytest.raises(Interrupted):
        predict_file(RUN, source, output, layout=layout)
    monkeypatch.setattr(StubPredictor, "parts_left", None)
    other = list(rows_of(150))
    match change:
        case "fewer rows":
            other = other[:5]
        case "a bad row":
            other[3] = {"id": "q3"}
        case _:
            name = change.split()[1]
            other[3] = other[3] | {name: "another"}
    write(source, iter(other))
    assert predict_file(RUN, source, output, layout=layout).questions == len(other) - (change == "a bad row")
    anew = tmp_path / "anew.jsonl"
    predict_file(RUN, source, anew, layout=layout)
    assert output.read_bytes() == anew.read_bytes()


GOOD = '{"id": "a", "question": "a?"}\n'
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


def test_fields_are_chosen(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    source, output = write(tmp_path / "in.jsonl", rows_of(5)), tmp_path / "out.jsonl"
    command = ["predict", "demo", "--input", str(source), "--output"]
    assert main([*command, str(output), "--fields", "confidence, answer,error"]) == 0
    whole = tmp_path / "whole.jsonl"
    assert main([*command, str(whole)]) == 0
    for line, chosen in zip(lines(whole), lines(output), strict=True):
        assert list(chosen) == ["id", "answer", "confidence", "error"]
        assert chosen == {key: line[key] for key in chosen}
    capfdbinary.readouterr()
    assert main([*command, "-", "--fields", "confidence,answer,error"]) == 0
    assert capfdbinary.readouterr().out == output.read_bytes()
    assert main([*command, str(output), "--fields", "answer,confidense"]) == 2
    assert capfdbinary.readouterr().err == (
        b"aspire-llm: --fields: a line has no 'confidense'; the nearest known field is 'confidence'\n"
    )


def test_candidates_are_the_other_beams_with_their_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(GOOD + "x\n")
    command = ["predict", "demo", "--input", str(source), "--output", str(output)]
    assert main(command) == 0
    plain = lines(output)
    assert all("candidates" not in line and "beams" not in line for line in plain)
    assert main([*command, "--include-candidates"]) == 0
    good, bad = lines(output)
    beam = {"token_ids": [1, 2], "num_tokens": 3, "terminated": True}
    assert good.pop("candidates") == [
        beam | {"text": "0 of 1?", "log_likelihood": -1.5, "selection_score": -1.5},
        beam | {"text": "0 of 1!", "log_likelihood": -2.5, "selection_score": -2.5},
    ]
    assert bad.pop("candidates") is None
    assert [good, bad] == plain
    # A score that takes the verdict, which is known of the likeliest answer alone.
    rule = DecisionRule(AspireScore(0.25), 0.0, 0.7, Infeasible("it is a stub"))
    monkeypatch.setattr(StubPredictor, "rule", rule)
    assert main([*command, "--fields", "candidates"]) == 0
    good, bad = lines(output)
    assert list(good) == ["id", "candidates"]
    assert [own["selection_score"] for own in good["candidates"]] == [None, None]


def test_a_hash_set_knows_what_it_has_met() -> None:
    texts = [f"text {number}" for number in range(5000)]
    met = HashSet()
    assert all(met.add(text) for text in texts)
    assert not any(met.add(text) for text in texts)
    assert met.add("another")
    assert met.add("\udcff")


def peak(source: Path, output: Path) -> int:
    """The most memory, in bytes, that Python's objects take while a file is answered."""
    tracemalloc.start()
    predict_file(RUN, source, output)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def peaks(tmp_path: Path, suffix: str, few: int, many: int) -> tuple[int, int]:
    sources = [write(tmp_path / f"{count}.{suffix}", rows_of(count)) for count in (few, many)]
    output = tmp_path / "out.jsonl"
    predict_file(RUN, sources[0], output)  # what is imported and kept for good
    return peak(sources[0], output), peak(sources[1], output)


HASH = 36  # bytes an id, while the table of hashes grows: 12 when it is full, 24 afterwards, both at once


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    few, many = peaks(tmp_path, suffix, 2_000, 20_000)
    assert many - few < HASH * 20_000 + 100_000, (few, many)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_hundred_thousand_rows_take_the_memory_of_ten_thousand(tmp_path: Path, suffix: str) -> None:
    few, many = peaks(tmp_path, suffix, 10_000, 100_000)
    assert many - few < HASH * 100_000 + 100_000, (few, many)


def test_parquet_of_one_row_group_is_not_read_whole(tmp_path: Path) -> None:
    source = tmp_path / "d.parquet"
    rows = [{"id": f"{i}", "question": "a?", "context": random.Random(i).randbytes(1000).hex()} for i in range(12_000)]
    parquet.write_table(pa.Table.from_pylist(rows), source, compression="none")
    del rows
    before, size = pa.total_allocated_bytes(), source.stat().st_size
    assert parquet.ParquetFile(source).num_row_groups == 1
    allocated = [pa.total_allocated_bytes() - before for _ in QuestionStream(source)]
    assert len(allocated) == 12_000
    assert max(allocated) < size / 2


def test_the_bound_on_memory_can_fail(tmp_path: Path) -> None:
    """The questions themselves take far more than it allows."""
    source = write(tmp_path / "in.jsonl", rows_of(5_000))
    tracemalloc.start()
    kept = list(QuestionStream(source))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 5_000
    assert taken > 5 * (HASH * 5_000 + 100_000)
