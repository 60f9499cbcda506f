"""What a run directory holds, for tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from aspire_llm import Prediction, Question, SelectivePredictor


def scores_of(folder: Path, name: str) -> list[float]:
    """Of one method, in the order of the predictions."""
    return json.loads((folder / "scores" / f"{name}.json").read_text())["scores"]


def lines_of(folder: Path, name: str) -> list[dict]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def given(line: dict) -> str:
    """The likeliest answer of a stored prediction, withheld or not."""
    assert (line["answer"] is None) == line["abstained"] == (line["withheld_answer"] is not None)
    return line["withheld_answer"] if line["abstained"] else line["answer"]


def killed_at_second_call(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the user interrupt the second part of the questions; how many each call was about, as they come."""
    answer, calls = SelectivePredictor.predict, []

    def killed(self: SelectivePredictor, questions: Sequence[Question]) -> list[Prediction]:
        calls.append(len(questions))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answer(self, questions)

    monkeypatch.setattr(SelectivePredictor, "predict", killed)
    return calls
