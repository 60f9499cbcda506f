"""Files of questions, and a predictor that answers them without a model.

It answers each question by the questions that it was asked with, so that a file shows how it was cut into parts.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer, Unanswered
from aspire_llm.selection import AspireScore, DecisionRule, Infeasible

RUN, TOO_LONG = Path("demo"), "too long"
FORMATS = ["jsonl", "csv", "parquet"]
GOOD = '{"id": "a", "question": "a?"}\n'


class Interrupted(BaseException):
    """Nothing handles it, as nothing handles a SIGKILL."""


class StubPredictor:
    """Answers a question with its place among those that it is asked with, and their number."""

    caveats = ("it is a stub",)
    rule = DecisionRule(AspireScore(0.0), 0.0, 0.7, Infeasible("it is a stub"))
    parts_left: int | None = None

    @classmethod
    def load(cls, run: Path, *, target_risk: float | None = None, per: str | None = None) -> "StubPredictor":
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
