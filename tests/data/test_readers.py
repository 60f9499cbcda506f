"""Every layout that can be read, with the questions that a reader of the file would write down by hand."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from aspire_llm.data import DataReport, check_data, load_questions
from aspire_llm.errors import DataError
from aspire_llm.records import Question

COQA = {
    "version": "1.0",
    "data": [
        {
            "id": "story1",
            "source": "wikipedia",
            "story": "Ann has a cat. It is black.",
            "questions": [
                {"input_text": "What does Ann have?", "turn_id": 1},
                {"input_text": "Which colour?", "turn_id": 2},
            ],
            "answers": [
                {"input_text": "a cat", "span_text": "a cat", "turn_id": 1},
                {"input_text": "Black", "span_text": "black", "turn_id": 2},
            ],
            "additional_answers": {
                "0": [{"input_text": "cat", "turn_id": 1}, {"input_text": "Black", "turn_id": 2}],
                "1": [{"input_text": "a cat", "turn_id": 1}, {"input_text": "it is black", "turn_id": 2}],
            },
        }
    ],
}
SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Oil",
            "paragraphs": [
                {
                    "context": "Oil rose in 1973.",
                    "qas": [
                        {
                            "id": "a",
                            "question": "When?",
                            "answers": [{"text": t, "answer_start": 12} for t in ("1973", "in 1973", "1973")],
                            "is_impossible": False,
                        },
                        {"id": "b", "question": "Who?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}


def group_of(text: bytes) -> str:
    """The group of closed-book questions of this normalised text."""
    return f"question-{hashlib.sha256(text).hexdigest()[:16]}"


def write(path: Path, content: object) -> Path:
    if isinstance(content, list) and path.suffix == ".jsonl":
        content = "".join(json.dumps(row) + "\n" for row in content)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8", newline="")
    return path


def test_coqa_gives_a_question_a_turn_with_the_turns_before_it(tmp_path: Path) -> None:
    story = "Ann has a cat. It is black."
    assert load_questions(write(tmp_path / "coqa-dev-v1.0.json", COQA)) == [
        Question("story1:1", "What does Ann have?", ("a cat", "cat"), story, (), "story1"),
        Question(
            "story1:2",
            "Which colour?",
            ("Black", "it is black"),
            story,
            (("What does Ann have?", "a cat"),),
            "story1",
        ),
    ]


def test_coqa_without_additional_answers(tmp_path: Path) -> None:
    story = {key: value for key, value in COQA["data"][0].items() if key != "additional_answers"}
    questions = load_questions(write(tmp_path / "coqa-train.json", {"data": [story]}))
    assert [question.references for question in questions] == [("a cat",), ("Black",)]


def test_squad_v2_marks_the_unanswerable(tmp_path: Path) -> None:
    path = write(tmp_path / "dev-v2.0.json", SQUAD)
    assert load_questions(path) == [
        Question("a", "When?", ("1973", "in 1973"), "Oil rose in 1973.", (), "Oil"),
        Question("b", "Who?", (), "Oil rose in 1973.", (), "Oil", answerable=False),
    ]
    assert check_data(path) == DataReport("SQuAD", questions=2, groups=1, unanswerable=1, problems=())


def test_squad_v1_has_no_is_impossible(tmp_path: Path) -> None:
    qa = {"id": "a", "question": "When?", "answers": [{"text": "1973", "answer_start": 12}]}
    article = {"title": "Oil", "paragraphs": [{"context": "Oil rose in 1973.", "qas": [qa]}]}
    path = write(tmp_path / "dev-v1.1.json", {"version": "1.1", "data": [article]})
    assert load_questions(path) == [Question("a", "When?", ("1973",), "Oil rose in 1973.", (), "Oil")]


def test_triviaqa_takes_the_value_first_and_then_the_aliases(tmp_path: Path) -> None:
    entry = {
        "Answer": {"Aliases": ["Sinclair Lewis", "", "Harry S. Lewis"], "Value": "Harry S. Lewis", "Type": "Wiki"},
        "EntityPages": [{"Title": "Lewis"}],
        "Question": "Who was the first American in the list?",
        "QuestionId": "tc_1",
    }
    other = {**entry, "QuestionId": "tc_2"}
    # One question stands in the file once for its web and once for its Wikipedia evidence.
    path = write(tmp_path / "wikipedia-dev.json", {"Data": [entry, other, {**entry, "EntityPages": []}]})
    references = ("Harry S. Lewis", "Sinclair Lewis")
    text = "Who was the first American in the list?"
    assert load_questions(path) == [
        Question("tc_1", text, references, group=group_of(b"who was the first american in the list")),
        Question("tc_2", text, references, group=group_of(b"who was the first american in the list")),
    ]


def test_triviaqa_table_is_read_with_its_quotes(tmp_path: Path) -> None:
    table = (
        "Which decade?\t\"['1970s', \"\"The '70s\"\"]\"\r\n"
        '"Who sang ""Heroes""?"\t[\'Bowie\', \'D\\\\B\']\r\n'
    )  # fmt: skip
    assert load_questions(write(tmp_path / "t.tsv", table)) == [
        Question("t.tsv:1", "Which decade?", ("1970s", "The '70s"), group=group_of(b"which decade")),
        Question("t.tsv:2", 'Who sang "Heroes"?', ("Bowie", "D\\B"), group=group_of(b'who sang "heroes')),
    ]


def test_nq_open(tmp_path: Path) -> None:
    path = write(tmp_path / "nq.jsonl", [{"question": "who", "answer": ["Bob", "Bobby", "Bob"]}])
    assert load_questions(path) == [Question("nq.jsonl:1", "who", ("Bob", "Bobby"), group=group_of(b"who"))]


FULL = Question("7", "Who?", ("Bob", "Rob"), "Bob sang.", (), "songs")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", 'id,group,context,question,answers\n7,songs,Bob sang.,Who?,"[""Bob"", ""Rob""]"\n'),
        ("d.tsv", 'question\tanswers\tid\tgroup\tcontext\nWho?\t["Bob", "Rob"]\t7\tsongs\tBob sang.\n'),
        ("d.csv", '\ufeffanswer,answers,id,group,context,question\nBob,"[""Bob"", ""Rob""]",7,songs,Bob sang.,Who?\n'),
        ("d.json", json.dumps([{"id": 7, "group": "songs", "context": "Bob sang.", "question": "Who?",
                                "answers": ["Bob", "Rob"]}])),
        ("d.json", '{"id": 7, "group": "songs", "context": "Bob sang.", "question": "Who?", '
                   '"answers": ["Bob", "Rob"]}\n'),
        ("d.jsonl", '\ufeff{"id": "7", "group": "songs", "context": "Bob sang. ", "question": " Who?\\n", '
                    '"answer": "Bob", "answers": ["Rob"], "other": {}}\n\n'),
    ],
)  # fmt: skip
def test_one_question_reads_the_same_from_every_kind_of_file(tmp_path: Path, name: str, content: str) -> None:
    assert load_questions(write(tmp_path / name, content)) == [FULL]


def test_parquet(tmp_path: Path) -> None:
    columns = {"id": [7, 8], "question": ["Who?", "What?"], "answers": [["Bob", "Rob"], ["song"]]}
    table = pa.table({**columns, "context": ["Bob sang.", None], "group": ["songs", None]})
    parquet.write_table(table, tmp_path / "d.parquet")
    assert load_questions(tmp_path / "d.parquet") == [FULL, Question("8", "What?", ("song",), group=group_of(b"what"))]


def of_time(kind: pa.DataType, value: int) -> pa.Array:
    return pa.array([value, None], {32: pa.int32(), 64: pa.int64()}[kind.bit_width]).cast(kind)


BEYOND_PYTHON = {
    "date": of_time(pa.date32(), 2**31 - 1),
    "time": of_time(pa.timestamp("us"), 2**62),
    "place": of_time(pa.timestamp("us", tz="Nowhere/City"), 1),
    "span": of_time(pa.duration("s"), 2**62),
}


@pytest.mark.parametrize("kind", BEYOND_PYTHON)
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_time_beyond_python_stops_no_reading(tmp_path: Path, kind: str, is_nested: bool) -> None:
    """Only texts, numbers and truth values are carried along, so such a column matters to nothing."""
    times = pa.StructArray.from_arrays([BEYOND_PYTHON[kind]], ["at"]) if is_nested else BEYOND_PYTHON[kind]
    table = pa.table({"question": ["Who?", "What?"], "answer": ["Bob", "song"], "rank": [1, 2], "at": times})
    parquet.write_table(table, tmp_path / "d.parquet")
    questions = load_questions(tmp_path / "d.parquet")
    assert [(own.question, own.references, dict(own.metadata)) for own in questions] == [
        ("Who?", ("Bob",), {"rank": 1}),
        ("What?", ("song",), {"rank": 2}),
    ]


@pytest.mark.parametrize("column", ["id", "group", "question", "answer"])
def test_a_time_beyond_python_is_part_of_no_question(tmp_path: Path, column: str) -> None:
    columns = {"question": ["Who?", "What?"], "answer": ["Bob", "song"], column: BEYOND_PYTHON["time"]}
    parquet.write_table(pa.table(columns), tmp_path / "d.parquet")
    first = check_data(tmp_path / "d.parquet").problems[0]
    assert first.row == 1
    assert "must be a string" in first.message


def test_json_lines_under_the_name_json(tmp_path: Path) -> None:
    rows = '{"question": "a?", "answer": "1"}\n{"question": "b?", "answer": "2"}\n'
    questions = load_questions(write(tmp_path / "d.json", rows))
    assert [(question.id, question.question) for question in questions] == [("d.json:1", "a?"), ("d.json:2", "b?")]


def test_rows_of_one_passage_share_a_group(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": "1", "context": c} for q, c in [("a?", "P"), ("b?", "R"), ("c?", " P")]]
    first, second, third = load_questions(write(tmp_path / "d.jsonl", rows))
    assert first.group == third.group != second.group
    assert len({first.id, second.id, third.id}) == 3


def test_history_in_json_lines(tmp_path: Path) -> None:
    rows = [{"question": "b?", "answer": "2", "history": [["a?", "1"]]}]
    assert load_questions(write(tmp_path / "d.jsonl", rows))[0].history == (("a?", "1"),)


def test_short_values_of_other_columns_are_carried_along(tmp_path: Path) -> None:
    row = {
        "question": "Where?",
        "answer": "here",
        "kind": "city",
        "year": 1810,
        "share": 0.5,
        "known": True,
        "note": "x" * 201,
        "empty": " ",
        "nothing": None,
        "list": [1],
        "nested": {"a": 1},
        "metadata": {"kind": "town", "half": "\ud800", "more": "yes"},
    }
    (question,) = load_questions(write(tmp_path / "rows.jsonl", json.dumps(row)))
    assert question.metadata == {"kind": "town", "year": 1810, "share": 0.5, "known": True, "more": "yes"}
    predicted = {**row, "selection_score": -0.5, "withheld_answer": "there"}
    (question,) = load_questions(write(tmp_path / "predicted.jsonl", json.dumps(predicted)))
    assert question.metadata == {"kind": "town", "more": "yes"}
    (question,) = load_questions(
        write(tmp_path / "rows.csv", "question,answer,metadata,kind\nWhere?,here,plain,city\n")
    )
    assert question.metadata == {"kind": "city"}


def test_formats_carry_what_their_questions_stem_from(tmp_path: Path) -> None:
    story = {
        "source": "race",
        "story": "A town.",
        "questions": [{"input_text": "Where?"}],
        "answers": [{"input_text": "a"}],
    }
    (coqa,) = load_questions(write(tmp_path / "coqa.jsonl", json.dumps(story)))
    assert coqa.metadata == {"source": "race"}
    article = {
        "title": "Oslo",
        "paragraphs": [{"context": "c", "qas": [{"question": "q", "answers": [{"text": "c"}]}]}],
    }
    (squad,) = load_questions(write(tmp_path / "squad.json", json.dumps({"data": [article]})))
    assert squad.metadata == {"title": "Oslo"}


@pytest.mark.parametrize(
    "answers",
    [
        {"answers": {"text": ["x"], "answer_start": [0]}},
        {"answer": {"value": "x", "aliases": []}},
        {"answers": ["x"]},
        {"answer": "x", "correct": True, "selection_score": -1.0, "metadata": {"topic": "t"}},
    ],
)
def test_what_every_row_may_say_is_read_in_every_kind_of_row(tmp_path: Path, answers: dict) -> None:
    row = {"id": "own", "group": 0, "context": "A passage.", "history": [["a", "b"]], "question": "Who?", "topic": "t"}
    (question,) = load_questions(write(tmp_path / "rows.jsonl", json.dumps(row | answers)), require_answers=False)
    assert (question.id, question.group, question.context, question.history) == (
        "own",
        "0",
        "A passage.",
        (("a", "b"),),
    )
    assert question.metadata == {"topic": "t"}


@pytest.mark.parametrize("group", ["customer", 0])
def test_a_conversation_may_belong_to_a_group(tmp_path: Path, group: str | int) -> None:
    turns = {"questions": ["Who?", "Where?"], "answers": {"input_text": ["Ada", "here"]}}
    path = write(tmp_path / "coqa.jsonl", json.dumps({"id": "s", "group": group, "story": "A piano.", **turns}))
    assert {own.group for own in load_questions(path)} == {str(group)}


@pytest.mark.parametrize("text", ['{"topic": "a", "year": 1810}', "{'topic': 'a', 'year': 1810}"])
def test_metadata_that_a_table_keeps_as_text(tmp_path: Path, text: str) -> None:
    cell = text.replace('"', '""')
    (question,) = load_questions(write(tmp_path / "rows.csv", f'question,answer,metadata\nWho?,x,"{cell}"\n'))
    assert question.metadata == {"topic": "a", "year": 1810}


def test_flattened_answers_are_no_metadata(tmp_path: Path) -> None:
    content = "question,answers.text,answers.answer_start,topic\nWho?,\"['x']\",[0],t\n"
    (question,) = load_questions(write(tmp_path / "rows.csv", content))
    assert (question.references, question.metadata) == (("x",), {"topic": "t"})


def test_answers_are_optional_for_predictions(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", [{"question": "a?"}, {"question": "b?", "answer": ""}])
    assert [question.references for question in load_questions(path, require_answers=False)] == [(), ()]
    assert check_data(path, require_answers=False).problems == ()
    assert len(check_data(path).problems) == 2


def test_limit_stops_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", '{"question": "a?", "answer": "1"}\nbroken\n')
    assert len(load_questions(path, limit=1)) == 1
    with pytest.raises(DataError, match="limit is 0; expected"):
        load_questions(path, limit=0)


def test_a_folder_is_read_in_sorted_order(tmp_path: Path) -> None:
    write(tmp_path / "b_dev.jsonl", [{"question": "b?", "answer": "1"}])
    write(tmp_path / "a-train.csv", "question,answer\na?,1\n")
    write(tmp_path / "c.train.json", COQA)
    (tmp_path / "README.md").write_text("not data")
    assert [question.question for question in load_questions(tmp_path)][:3] == ["a?", "b?", "What does Ann have?"]
    assert check_data(tmp_path).format == "question rows, CoQA"
    assert [question.question for question in load_questions(tmp_path, split="validation")] == ["b?"]
    assert len(load_questions(tmp_path, split="train")) == 3


def test_a_string_with_a_slash_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squad").mkdir()
    write(tmp_path / "squad" / "d.jsonl", [{"question": "a?", "answer": "1"}])
    monkeypatch.chdir(tmp_path)
    assert len(load_questions("./squad")) == len(load_questions(Path("squad"))) == 1


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)
questions = st.builds(
    Question,
    id=words,
    question=words,
    references=st.lists(words, min_size=1, unique=True).map(tuple),
    context=st.none() | words,
    history=st.lists(st.tuples(words, words)).map(tuple),
    group=words,
)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(questions, min_size=1, max_size=5, unique_by=lambda question: question.id), ascii_only=st.booleans()
)
def test_json_lines_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Question], ascii_only: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.jsonl"
    lines = [
        json.dumps(
            {
                "id": row.id,
                "question": row.question,
                "answers": list(row.references),
                "context": row.context,
                "history": row.history,
                "group": row.group,
            },
            ensure_ascii=ascii_only,
        )
        for row in rows
    ]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    assert load_questions(path) == rows
