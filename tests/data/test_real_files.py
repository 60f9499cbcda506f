"""The published development sets, where this machine has them: known counts, known first questions."""

from pathlib import Path

import pytest

from aspire_llm.data import DataReport, check_data, load_questions, split_questions
from aspire_llm.records import Question, Split

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def real_file(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("squad_dev_v1.1.json", DataReport("SQuAD", 10_570, 48, 0, ())),
        ("squad_dev_v2.0.json", DataReport("SQuAD", 11_873, 35, 5_945, ())),
        ("triviaqa_dev.tsv", DataReport("TriviaQA", 8_837, 8_835, 0, ())),
        ("nq_open_dev.jsonl", DataReport("question rows", 3_610, 3_610, 0, ())),
    ],
)
def test_counts(name: str, report: DataReport) -> None:
    assert check_data(real_file(name)) == report


def test_squad_first_question() -> None:
    (question,) = load_questions(real_file("squad_dev_v1.1.json"), limit=1)
    assert question.context is not None
    assert question.context.startswith("The 1973 oil crisis began in October 1973")
    assert question == Question(
        "5725b33f6a3fe71400b8952d",
        "When did the 1973 oil crisis begin?",
        ("October 1973", "October", "1973"),
        question.context,
        (),
        "1973_oil_crisis",
    )


def test_triviaqa_questions() -> None:
    questions = load_questions(real_file("triviaqa_dev.tsv"))
    assert questions[1] == Question(
        "triviaqa_dev.tsv:2",
        "What are the international registration letters of a vehicle from Belize?",
        ("Bh.", "BH (disambiguation)", "BH", "Bh", "B H", "B.H.", "B.h."),
        group=questions[1].group,
    )
    # One level of quotes is the table's; what is left is TriviaQA's own text, which some of its sources gave quoted.
    assert questions[26].question == '"What was the name of the ""girl with kaleidoscope eyes"" in a Beatles song?"'
    assert all(question.references for question in questions)


def test_nq_open_first_question() -> None:
    (question,) = load_questions(real_file("nq_open_dev.jsonl"), limit=1)
    assert question.question == "when was the last time anyone was on the moon"
    assert question.references == ("14 December 1972 UTC", "December 1972")


def test_splits_of_squad_share_no_article() -> None:
    questions = load_questions(real_file("squad_dev_v2.0.json"))
    sizes = {Split.TRAIN: 6_000, Split.VALIDATION: 500, Split.CALIBRATION: 1_000, Split.TEST: 3_500}
    splits = split_questions(questions, sizes, seed=0)
    assert {split: len(chosen) for split, chosen in splits.items()} == sizes
    titles = [{question.group for question in chosen} for chosen in splits.values()]
    assert sum(map(len, titles)) == len(set().union(*titles))
