"""Bad files: the exact file, row and complaint of each, and nothing but `DataError` whatever the bytes."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from aspire_llm.data import check_data, load_questions
from aspire_llm.errors import DataError

GOOD = '{"question": "a?", "answer": "1"}\n'
NO_ANSWER = "there is no answer; expected a string or a list of strings that is not empty"
PAIRS = "'history' must be a list of [question, answer] pairs"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        # JSON Lines: the row is the line.
        ("d.jsonl", GOOD + "\n{'question'}\n", "row 3: not JSON: Expecting property name enclosed in double quotes at "
                                               "line 1, column 2"),
        ("d.jsonl", GOOD + '{"question": "b?",',
         "row 2: not JSON: Expecting property name enclosed in double quotes at line 1, column 19 (it ends too early: "
         "cut off?)"),
        ("d.jsonl", GOOD + "[1, 2]\n", "row 2: expected an object with named values, got [1, 2]"),
        ("d.jsonl", GOOD.encode() + b'{"question": "\xff"}', "row 2: not UTF-8 text; save the file as UTF-8"),
        ("d.jsonl", GOOD + '{"question": "\\ud83d", "answer": "1"}',
         "row 2: 'question' holds half of a surrogate pair, which no text can"),
        ("d.jsonl", GOOD + "9" * 5000, "row 2: not JSON that can be read: it holds a number or a nesting beyond all "
                                       "limits"),
        ("d.jsonl", GOOD + "[" * 100_000, "row 2: not JSON that can be read: it holds a number or a nesting beyond all "
                                          "limits"),
        # Values.
        ("d.jsonl", '{"answer": "1"}', "row 1: 'question' is missing"),
        ("d.jsonl", '{"question": " ", "answer": "1"}', "row 1: 'question' is empty"),
        ("d.jsonl", '{"question": ["a?"], "answer": "1"}', "row 1: 'question' must be a string, got a list"),
        ("d.jsonl", '{"question": "a?"}', f"row 1: {NO_ANSWER}"),
        ("d.jsonl", '{"question": "a?", "answers": []}', f"row 1: {NO_ANSWER}"),
        ("d.jsonl", '{"question": "a?", "answer": ""}', f"row 1: {NO_ANSWER}"),
        ("d.jsonl", '{"question": "a?", "answers": ["x", " "]}', "row 1: answer 2 is empty"),
        ("d.jsonl", '{"question": "a?", "answers": ["x", 3]}', "row 1: answer 2 must be a string, got a number"),
        ("d.jsonl", '{"question": "a?", "answer": 42}',
         "row 1: the answer must be a string or a list of strings, got a number"),
        ("d.jsonl", '{"question": "a?", "answer": "1", "id": true}', "row 1: 'id' must be a string, got true or false"),
        ("d.jsonl", '{"question": "a?", "answer": "1", "context": {}}',
         "row 1: 'context' must be a string, got an object"),
        ("d.jsonl", '{"question": "a?", "answer": "1", "history": "b"}', f"row 1: {PAIRS}, got a string"),
        ("d.jsonl", '{"question": "a?", "answer": "1", "history": [["b?"]]}',
         "row 1: turn 1 of 'history' must be a [question, answer] pair"),
        ("d.jsonl", '{"question": "a?", "answer": "1", "id": "x"}\n{"question": "b?", "answer": "1", "id": "x"}',
         "row 2: the id 'x' is taken by {path}, row 1; ids must be unique"),
        # Documents: the row is the entry of the list.
        ("d.json", '{"data": [', "not JSON: Expecting value at line 1, column 11 (it ends too early: cut off?)"),
        ("d.json", "", "not JSON: Expecting value at line 1, column 1 (it ends too early: cut off?)"),
        ("d.json", b'{"data": "\xe9"}', "not UTF-8 text; save the file as UTF-8"),
        ("d.json", '{"data": 3}', "expected a list of objects, or an object whose 'data' is one"),
        ("d.json", '[{"question": "a?", "answer": "1"}, 3]', "row 2: expected an object with named values, got 3"),
        ("d.json", '[{"title": "Oil", "paragraphs": 3}]', "row 1: 'paragraphs' must be a list, got a number"),
        ("d.json", '[{"paragraphs": [{"qas": [{"question": "a?", "answers": [{"text": "x"}]}, 5]}]}]',
         "row 1: paragraph 1, question 2: a question must be an object, got a number"),
        ("d.json", '[{"paragraphs": [{"qas": [{"question": "a?", "answers": [], "is_impossible": false}]}]}]',
         f"row 1: paragraph 1, question 1: {NO_ANSWER}"),
        ("d.json", '[{"paragraphs": [{"qas": [{"question": "a?", "answers": [{"text": "x"}], '
                   '"is_impossible": true}]}]}]',
         "row 1: paragraph 1, question 1: the question is marked as impossible to answer and has an answer"),
        ("d.json", '[{"story": "S", "questions": [{"input_text": "a?"}], "answers": []}]',
         "row 1: 'answers' has 0 entries for 1 questions; expected one a question"),
        ("d.json", '[{"Question": "a?", "Answer": {"Value": "x", "Aliases": "y"}}]',
         "row 1: 'Aliases' must be a list, got a string"),
        ("d.json", '[{"Question": "a?", "Answer": "x"}]', "row 1: the answer must be an object, got a string"),
        # Tables: the header is row 1.
        ("d.csv", "question,answer\na?,1\nb?\n", "row 3: expected 2 cells as in the header, got 1"),
        ("d.csv", "question,answer\na?,1\n,2\n", "row 3: 'question' is empty"),
        ("d.csv", 'question,answer\na?,1\n"b?,2\n', "row 3: not a row of a table: unexpected end of data; close its "
                                                    "quotes"),
        ("d.csv", b"question,answer\na?,1\nb\xff?,2\nc?,3\n", "row 3: not UTF-8 text; save the file as UTF-8"),
        ("d.csv", "frage,antwort\n", "row 1: expected a header row with a column 'question', or rows of a question and "
                                     "a Python list"),
        ("d.tsv", "a?\t['1']\nb?\t['2'\n", "row 2: 'aliases' looks like a list or an object kept as text and is none "
         "that can be read: \"['2'\"; write answers as [\"one\", \"another\"], also a single one that stands in "
         "brackets"),
        ("d.tsv", "a?\t['1']\nb?\t'2'\n", "row 2: the second column must be a Python list of aliases, e.g. ['Paris', "
                                           "'City of Paris']"),
        ("d.tsv", "a?\t['1']\nb?\t[__import__('os').getcwd()]\n",
         "row 2: 'aliases' looks like a list or an object kept as text and is none that can be read: "
         "\"[__import__('os').getcwd()]\"; write answers as [\"one\", \"another\"], also a single one that stands in "
         "brackets"),
        # Files.
        ("d.jsonl", "\n\n", "holds no questions"),
        ("d.csv", "question,answer\n", "holds no questions"),
        ("d.json", '{"data": []}', "holds no questions"),
        ("d.json", '{"data": [{"title": "Oil", "paragraphs": []}]}', "holds no questions"),
        ("d.txt", GOOD, "unknown suffix '.txt'; expected one of .json, .jsonl, .ndjson, .csv, .tsv, .parquet"),
        ("d.parquet", "PAR1", "not a Parquet file that can be read: Parquet file size is 4 bytes, smaller than the "
                              "minimum file footer (8 bytes)"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_and_the_check_agrees(
    tmp_path: Path, name: str, content: str | bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    separator = ", " if complaint.startswith("row") else ": "
    expected = f"{path}{separator}{complaint.replace('{path}', str(path))}"
    with pytest.raises(DataError) as caught:
        load_questions(path)
    assert str(caught.value) == expected
    assert [str(problem) for problem in check_data(path).problems] == [expected]


def test_all_problems_come_at_once_and_the_first_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "my data.jsonl"
    path.write_text('{"question": ""}\n' + GOOD + "oops\n" + '{"question": "b?"}\n' + GOOD)
    report = check_data(path)
    assert [(problem.file, problem.row) for problem in report.problems] == [(str(path), row) for row in (1, 3, 4)]
    assert (report.format, report.questions, report.groups) == ("question rows", 2, 1)
    with pytest.raises(DataError) as caught:
        load_questions(path)
    hint = f"(and 2 more: run `aspire-llm data check '{path}'` to see all)"
    assert str(caught.value) == f"{path}, row 1: 'question' is empty {hint}"


def test_every_broken_question_of_an_article_is_reported(tmp_path: Path) -> None:
    broken = [{"question": "", "answers": [{"text": "x"}]}, 3, {"question": "ok?", "answers": [{"text": "x"}]}]
    article = {"title": "t", "paragraphs": [{"context": "c", "qas": broken}, {"context": "c", "qas": None}, 7]}
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"data": [article]}))
    assert [problem.message for problem in check_data(path).problems] == [
        "paragraph 1, question 1: 'question' is empty",
        "paragraph 1, question 2: a question must be an object, got a number",
        "paragraph 2: 'qas' must be a list, got nothing",
        "paragraph 3: a paragraph must be an object, got a number",
    ]
    assert check_data(path).questions == 1


def test_a_broken_turn_is_reported_once(tmp_path: Path) -> None:
    story = {"id": "s", "story": "S", "questions": ["a?", "b?", "c?"], "answers": {"input_text": ["1", "", "3"]}}
    path = tmp_path / "d.json"
    path.write_text(json.dumps([story]))
    report = check_data(path)
    assert [str(problem) for problem in report.problems] == [f"{path}, row 1: turn 2: {NO_ANSWER}"]
    assert report.questions == 2


def test_an_unknown_structure_lists_what_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"frage": "a?", "antwort": "1"}\n' * 3)
    (problem,) = check_data(path).problems
    assert problem.row == 1
    assert problem.message.startswith("unknown structure (got 'frage', 'antwort'); understood are CoQA stories with")
    for name in ("CoQA", "SQuAD", "TriviaQA", "rows with 'question' and 'answer' or 'answers'"):
        assert name in problem.message


@pytest.mark.parametrize("source", ["no/such/file.jsonl", "x" * 5000, "nul\0"])
def test_a_missing_file(source: str) -> None:
    with pytest.raises(DataError, match="no such file or folder; names known here are coqa, squad, squad_v2, triviaqa"):
        load_questions(source)


def test_folders_without_what_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no data file; expected one of \.json"):
        load_questions(tmp_path)
    (tmp_path / "train.jsonl").write_text(GOOD)
    with pytest.raises(DataError, match=r"no file of the split 'test' among train\.jsonl"):
        load_questions(tmp_path, split="test")
    with pytest.raises(DataError, match="is one file and has no split 'train'"):
        load_questions(tmp_path / "train.jsonl", split="train")


def test_ids_are_unique_across_the_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"question": "a?", "answer": "1", "id": "x"}\n' + GOOD)
    (problem,) = check_data(tmp_path).problems
    taken = f"the id 'x' is taken by {tmp_path / 'a.jsonl'}, row 1; ids must be unique"
    assert str(problem) == f"{tmp_path / 'b.jsonl'}, row 1: {taken}"


def test_a_triviaqa_id_with_two_questions_is_no_repetition(tmp_path: Path) -> None:
    entries = [{"QuestionId": "tc", "Question": text, "Answer": {"Value": "x"}} for text in ("a?", "b?")]
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"Data": entries}))
    assert [problem.row for problem in check_data(path).problems] == [2]


def assert_only_data_errors(path: Path) -> None:
    report = check_data(path)
    assert all("\n" not in str(problem) for problem in report.problems)
    if report.problems:
        with pytest.raises(DataError):
            load_questions(path)
    else:
        assert len(load_questions(path)) == report.questions > 0


SUFFIXES = [".json", ".jsonl", ".csv", ".tsv", ".parquet"]


@settings(max_examples=150)
@given(suffix=st.sampled_from(SUFFIXES), content=st.binary() | st.text().map(str.encode))
def test_arbitrary_bytes(tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"arbitrary{suffix}"
    path.write_bytes(content)
    assert_only_data_errors(path)


KEYS = ["question", "answer", "answers", "context", "id", "group", "history", "title", "paragraphs", "qas", "text"]
KEYS += ["is_impossible", "story", "questions", "input_text", "additional_answers", "Question", "Answer", "Value"]
KEYS += ["Aliases", "QuestionId", "aliases", "value", "question_id"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)


@settings(max_examples=100)
@given(rows=st.lists(st.dictionaries(st.sampled_from(KEYS), values, max_size=8), min_size=1, max_size=3))
def test_known_names_with_arbitrary_values(tmp_path_factory: pytest.TempPathFactory, rows: list[object]) -> None:
    path = tmp_path_factory.getbasetemp() / "known_names.json"
    path.write_text(json.dumps(rows))
    assert_only_data_errors(path)


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A good file cut off, or with a byte changed, is read or refused, never a crash."""
    folder = tmp_path_factory.getbasetemp()
    suffix = data.draw(st.sampled_from(SUFFIXES))
    path = folder / f"damaged{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.table({"question": ["a?", "b?"], "answers": [["x"], ["y", "z"]]}), path)
    else:
        delimiter = "\t" if suffix == ".tsv" else ","
        table = f'question{delimiter}answer\na?{delimiter}"[""x""]"\n'
        path.write_text(table if suffix in (".csv", ".tsv") else GOOD * 2)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[position:]
    else:
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    assert_only_data_errors(path)
