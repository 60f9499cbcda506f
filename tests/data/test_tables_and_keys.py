"""Names that stand twice, long fields, stray quotes: refused or read, never the last one silently."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from aspire_llm.cli import main
from aspire_llm.config_files import load_config, parse_change
from aspire_llm.data import check_data, load_questions
from aspire_llm.errors import ConfigError, DataError

COLUMN = "the column '{name}' stands twice; rename or remove one of them"
KEY = "the key 'answer' stands twice in one object{place}; keep one of them"
TWICE = '{"question": "a?", "answer": "1", "answer": "2"}\n'
ONCE = '{"question": "b?", "answer": "1"}\n'


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("d.csv", "question,answer,question\na?,1,note\n", ", row 1: " + COLUMN.format(name="question")),
        ("d.tsv", "question\tanswer\tanswer\na?\t1\t2\n", ", row 1: " + COLUMN.format(name="answer")),
        ("d.jsonl", ONCE + TWICE, ", row 2: " + KEY.format(place="")),
        ("d.json", TWICE + ONCE, ", row 1: " + KEY.format(place="")),
        ("d.json", f"[{ONCE},\n{TWICE}]", ": " + KEY.format(place=" (again at line 3)")),
        ("d.json", '[{"question": "a \\" {?",\n"answer": "1",\n"\\u0061nswer": "2"}]',
         ": " + KEY.format(place=" (again at line 3)")),
        ("d.json", '{"data": [], "answer": {},\n "answer": {}}', ": " + KEY.format(place=" (again at line 2)")),
    ],
)  # fmt: skip
def test_a_name_that_stands_twice_in_data(tmp_path: Path, name: str, content: str, complaint: str, capsys) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        load_questions(path)
    assert str(caught.value) == f"{path}{complaint}"
    assert main(["data", "check", str(path)]) == 2
    assert f"{path}{complaint}" in capsys.readouterr().out


def test_a_column_that_stands_twice_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    columns = [pa.array(["a?"]), pa.array(["1"]), pa.array(["note"])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["question", "answer", "question"]), path)
    (problem,) = check_data(path).problems
    assert problem.message == "the column 'question' stands twice; rename or remove one of them"


def test_columns_without_a_name_are_no_repetition(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(",,question,answer\n0,0,a?,1\n")
    assert len(load_questions(tmp_path / "d.csv")) == 1


def test_a_section_that_stands_twice_in_yaml(tmp_path: Path, capsys) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("stage1:\n  num_soft_tokens: 3\nscore:\n  alpha: 0.5\nstage1:\n  learning_rate: 0.1\n")
    assert main(["run", str(path), "--output", str(tmp_path / "r")]) == 2
    expected = f"{path}, line 5: the key 'stage1' stands twice; keep one of them, with all that belongs to it"
    assert capsys.readouterr().err == f"aspire-llm: {expected}\n"
    path.write_text("stage1:\n  epochs: 3\n  'epochs': 4\n")
    with pytest.raises(ConfigError, match="line 3: the key 'epochs' stands twice"):
        load_config(path)
    with pytest.raises(ConfigError, match="--set stage1: the key 'epochs' stands twice"):
        parse_change("stage1={epochs: 3, epochs: 4}")
    path.write_text("base: &base {epochs: 3}\nstage1:\n  <<: *base\n  epochs: 4\n")
    with pytest.raises(ConfigError, match="unknown config key 'base'"):  # a merge that is overridden is no repetition
        load_config(path)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_long_field(tmp_path: Path, suffix: str) -> None:
    context = "Tom slept. " * 20_000
    delimiter = "," if suffix == "csv" else "\t"
    (tmp_path / f"d.{suffix}").write_text(
        delimiter.join(["question", "answer", "context"]) + "\n" + delimiter.join(["Who slept?", "Tom", context])
    )
    (tmp_path / "d.jsonl").write_text(json.dumps({"question": "Who slept?", "answer": "Tom", "context": context}))
    (read,), (same,) = load_questions(tmp_path / f"d.{suffix}"), load_questions(tmp_path / "d.jsonl")
    assert read.context == same.context == context.strip()


def test_a_raw_tsv_with_rows_that_begin_with_a_quote(tmp_path: Path) -> None:
    """Rows in quotes are read as a spreadsheet reads them; what no spreadsheet wrote is cut at its tabs."""
    lines = [
        "Plain?\t['a']",
        "\"Heroes\" was sung by whom?\t['Bowie']",
        '"Who sang ""Heroes""?"\t"[\'Bowie\', ""D\'B""]"',
        "\"Who never closed it?\t['b']",
        '"Quoted" and "again?\t[\'c\']',
        "Last?\t['d']",
    ]
    path = tmp_path / "t.tsv"
    path.write_text("\r\n".join(lines) + "\r\n", newline="")
    assert check_data(path).problems == ()
    assert [(q.id, q.question, q.references) for q in load_questions(path)] == [
        ("t.tsv:1", "Plain?", ("a",)),
        ("t.tsv:2", '"Heroes" was sung by whom?', ("Bowie",)),
        ("t.tsv:3", 'Who sang "Heroes"?', ("Bowie", "D'B")),
        ("t.tsv:4", '"Who never closed it?', ("b",)),
        ("t.tsv:5", '"Quoted" and "again?', ("c",)),
        ("t.tsv:6", "Last?", ("d",)),
    ]
    path.write_text("question\tanswer\n" + '"Ada" who?\t1\nb?\t"two\nlines"\n')
    assert [(q.question, q.references) for q in load_questions(path)] == [
        ('"Ada" who?', ("1",)),
        ("b?", ("two\nlines",)),
    ]


def test_a_quote_that_is_never_closed_is_not_looked_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aspire_llm.data.tables._LONGEST_FIELD", 100)
    path = tmp_path / "d.csv"
    path.write_text('question,answer\na?,1\n"b?,2\n' + "c?,3\n" * 40)
    (problem,) = check_data(path).problems
    assert (problem.row, problem.message) == (
        3,
        "not a row of a table: field larger than field limit (100); close its quotes",
    )
    assert check_data(path).questions == 41


def test_a_stray_quote_in_csv_costs_its_own_row(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text('question,answer\na?,1\n"Heroes" who?,2\nc?,"3\nd?,4\ne?,"5\n6"\n')
    report = check_data(path)
    assert [(problem.row, problem.message.split(":")[0]) for problem in report.problems] == [
        (3, "not a row of a table"), (4, "not a row of a table")
    ]  # fmt: skip
    assert report.questions == 3
