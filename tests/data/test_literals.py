"""Lists and objects kept as text: what pandas and `datasets` themselves write is read as what was written."""

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from aspire_llm.cli import main
from aspire_llm.data import check_data, load_questions
from aspire_llm.data.literals import read_literal
from aspire_llm.records import Question

LONG = [f'the {"very " * i}long name of Ulm\'s "town" no. {i}' for i in range(12)]  # numpy breaks its line
SQUAD = [
    {"id": f"q{i}", "title": f"T{i}", "context": f"House {i} stands in Ulm.", "question": "Where?",
     "answers": {"text": texts, "answer_start": [0] * len(texts)}}
    for i, texts in enumerate([["Ulm"], ["Ulm", "the town of Ulm"], [], LONG])
]  # fmt: skip
TRIVIAQA = [
    {"question_id": "tc_1", "question": "Which river?", "answer": {"aliases": ["Danube River", "Donau"],
     "normalized_aliases": ["donau"], "value": "Danube", "type": "WikipediaEntity"}},
]  # fmt: skip
NQ = [{"question": f"who {i}", "answer": answer} for i, answer in enumerate([["Bob"], ["Bob", "Rob O'Neil"], LONG])]
COQA = [
    {"source": "wiki", "story": "Ann has a cat.", "questions": ["What?", "Whose?"],
     "answers": {"input_text": ["a cat", "Ann's"], "answer_start": [8, -1], "answer_end": [13, -1]}},
]  # fmt: skip
PUBLISHED = {"squad": SQUAD, "triviaqa": TRIVIAQA, "nq_open": NQ, "coqa": COQA}


def with_arrays(value: Any) -> Any:
    """As `DataFrame.read_parquet` holds nested columns."""
    if isinstance(value, list):
        return np.array(
            [with_arrays(item) for item in value], dtype=object if not value or isinstance(value[0], str) else None
        )
    return {key: with_arrays(item) for key, item in value.items()} if isinstance(value, dict) else value


def as_text(rows: list[dict], render=repr) -> list[dict]:
    return [{key: value if isinstance(value, str) else render(value) for key, value in row.items()} for row in rows]


def write_csv(rows: list[dict], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)


WRITERS = {
    "datasets.csv": lambda rows, path: datasets.Dataset.from_list(rows).to_csv(path),
    "pandas.csv": lambda rows, path: pd.DataFrame(rows).to_csv(path),
    "arrays.csv": lambda rows, path: pd.DataFrame([with_arrays(row) for row in rows]).to_csv(path, index=False),
    "arrays.tsv": lambda rows, path: pd.DataFrame([with_arrays(row) for row in rows]).to_csv(path, sep="\t"),
    "json.csv": lambda rows, path: write_csv(as_text(rows, json.dumps), path),
    "text.jsonl": lambda rows, path: path.write_text("\n".join(map(json.dumps, as_text(rows)))),
    "numpy_text.jsonl": lambda rows, path: path.write_text(
        "\n".join(map(json.dumps, as_text([with_arrays(row) for row in rows], str)))
    ),
    "text.parquet": lambda rows, path: parquet.write_table(pa.Table.from_pylist(as_text(rows)), path),
    "flat.parquet": lambda rows, path: datasets.Dataset.from_list(rows).flatten().to_parquet(path),
    "flat.csv": lambda rows, path: datasets.Dataset.from_list(rows).flatten().to_csv(path),
    "normalized.csv": lambda rows, path: pd.json_normalize(rows).to_csv(path),
    "normalized.jsonl": lambda rows, path: pd.json_normalize(rows).to_json(path, orient="records", lines=True),
    "nested.parquet": lambda rows, path: parquet.write_table(pa.Table.from_pylist(rows), path),
    "nested.jsonl": lambda rows, path: path.write_text("\n".join(map(json.dumps, rows))),
}  # fmt: skip


def without_ids(questions: list[Question], *, own: bool) -> list[tuple[object, ...]]:
    return [
        (q.id if own else "", q.question, q.references, q.context, q.history, q.group, q.answerable) for q in questions
    ]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_rows_read_the_same_from_every_writer(name: str, writer: str, tmp_path: Path) -> None:
    rows = PUBLISHED[name]
    plain, path = tmp_path / "plain.json", tmp_path / f"d{Path(writer).suffix}"
    plain.write_text(json.dumps(rows))
    WRITERS[writer](rows, path)
    has_ids = name in ("squad", "triviaqa")
    assert without_ids(load_questions(path), own=has_ids) == without_ids(load_questions(plain), own=has_ids)


def test_what_the_rows_say(tmp_path: Path) -> None:
    """The references that the other tests compare, written down by hand once."""
    WRITERS["arrays.csv"](SQUAD, tmp_path / "s.csv")
    WRITERS["arrays.csv"](TRIVIAQA, tmp_path / "t.csv")
    WRITERS["datasets.csv"](NQ, tmp_path / "n.csv")
    squad = load_questions(tmp_path / "s.csv")
    assert [q.references for q in squad] == [("Ulm",), ("Ulm", "the town of Ulm"), (), tuple(LONG)]
    assert [q.answerable for q in squad] == [True, True, False, True]
    assert [q.references for q in load_questions(tmp_path / "t.csv")] == [("Danube", "Danube River", "Donau")]
    assert [q.references for q in load_questions(tmp_path / "n.csv")] == [("Bob",), ("Bob", "Rob O'Neil"), tuple(LONG)]


def test_articles_and_conversations_as_cells(tmp_path: Path) -> None:
    """Published files that went through a table whole: a row an article, a row a story."""
    paragraph = {"context": "Oil rose.", "qas": [{"id": "a", "question": "What?", "answers": [{"text": "Oil"}]}]}
    pd.DataFrame([{"title": "Oil", "paragraphs": [paragraph]}]).to_csv(tmp_path / "s.csv")
    (question,) = load_questions(tmp_path / "s.csv")
    assert (question.references, question.context, question.group) == (("Oil",), "Oil rose.", "Oil")
    story = {"id": "s", "story": "Ann has a cat.", "questions": [{"input_text": "What?"}],
             "answers": [{"input_text": "a cat"}], "additional_answers": {"0": [{"input_text": "cat"}]}}  # fmt: skip
    pd.DataFrame([story]).to_csv(tmp_path / "c.csv")
    assert load_questions(tmp_path / "c.csv")[0].references == ("a cat", "cat")
    row = {"question": "b?", "answer": "2", "history": [["a?", "1"]]}
    pd.DataFrame([row]).to_csv(tmp_path / "h.csv")
    assert load_questions(tmp_path / "h.csv")[0].history == (("a?", "1"),)


BAD = [
    "['x', 'y'",  # cut, as by a spreadsheet whose cells hold 32,767 signs
    "['Ada', 'Ada Vo",
    "{'text': ['Ulm', 'the town of",
    "{'text': array(['Ulm'], dtype=obj",
    '[{"input_text": "a cat"}, {"inp',
    "[sic]",
    "[1, 2]",
    "['a' , ...]",
    "['a''b']",
    "{'text': ['a'], 'text': ['b']}",
    '{"text": ["a"], "text": ["b"]}',
    "{'a', 'b'}",
    "[__import__('os').getcwd()]",
    "array(['a'], __import__('os'))",
    "[f'{1}']",
]


@pytest.mark.parametrize("cell", BAD)
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_what_looks_like_a_literal_and_is_none_is_reported(cell: str, suffix: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / f"d.{suffix}"
    row = {"question": "a?", "answer": cell}
    match suffix:
        case "jsonl":
            path.write_text(json.dumps(row))
        case "csv":
            write_csv([row], path)
        case _:
            parquet.write_table(pa.Table.from_pylist([row]), path)
    (problem,) = check_data(path).problems
    assert problem.message.startswith("'answer' looks like a list or an object kept as text and is none")
    assert repr(cell) in problem.message
    assert main(["data", "check", str(path)]) == 2
    assert repr(cell) in capsys.readouterr().out


@pytest.mark.parametrize("text", ['["Weird Al"] Yankovic', "[sic] and more", "{x", "(aside", "array theory", "'Tis"])
def test_what_only_begins_like_a_literal_is_a_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"question": "a?", "answer": text}))
    assert load_questions(path)[0].references == (text,)


def test_texts_in_brackets_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    answers = ['["x"] and y', "[sic] yes", ["[sic]"], ["[1, 2]", "{}"], "(a) and (b)", "x[0]"]
    path.write_text("\n".join(json.dumps({"question": f"{i}?", "answer": own}) for i, own in enumerate(answers)))
    assert [q.references for q in load_questions(path)] == [
        ('["x"] and y',), ("[sic] yes",), ("[sic]",), ("[1, 2]", "{}"), ("(a) and (b)",), ("x[0]",)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("['a' 'b']", ["a", "b"]),
        ("['a'\n \"b's\"]", ["a", "b's"]),
        ("array(['a', 'b'], dtype='<U1')", ["a", "b"]),
        ("{'x': array([], dtype=float64), 'y': nan}", {"x": [], "y": None}),
        ("[np.str_('a'), np.int64(3)]", ["a", 3]),
        ("[{'t': 'a'}\n {'t': 'b'}]", [{"t": "a"}, {"t": "b"}]),
        ("('a', 'b')", ["a", "b"]),
        ("['a' None]", ["a", None]),
        ("[list((1, 2))]", None),
        ("[" * 100_000, None),
        ("['a\x00']", None),
    ],
)
def test_literals(text: str, value: object) -> None:
    assert read_literal(text) == value
