"""The predictor of a finished run, as other programs use it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aspire_llm import SelectivePredictor
from aspire_llm.config import RunConfig
from aspire_llm.errors import ModelError, RunDirectoryError
from aspire_llm.records import Question


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_predictor_gives_what_the_run_predicted(finished: Path, config: RunConfig) -> None:
    stored = lines(finished / "predictions.jsonl")[0]
    predictor = SelectivePredictor.load(finished)
    asked = predictor.predict([stored["question"]])[0]
    assert asked.scored.answer.text == (stored["withheld_answer"] if stored["abstained"] else stored["answer"])
    assert asked.scored.selection_score == pytest.approx(stored["selection_score"], abs=1e-4)
    assert asked.correct is None
    known = predictor.predict([Question("x", stored["question"], ("no such answer",))])[0]
    assert known.correct is False
    assert known.abstained == (known.confidence is not None and known.confidence < config.score.abstain_below)
    assert known.answer == (None if known.abstained else known.scored.answer.text)


def test_order_and_company_change_nothing(finished: Path) -> None:
    predictor = SelectivePredictor.load(finished)
    questions = [f"Where was the {'very ' * (i % 4)}old piano {i} built?" for i in range(9)]
    together = predictor.predict(questions)
    assert [prediction.question.question for prediction in together] == questions
    for question, prediction in zip(questions, together, strict=True):
        (alone,) = predictor.predict([question])
        assert alone.scored.answer.text == prediction.scored.answer.text
        assert alone.scored.selection_score == pytest.approx(prediction.scored.selection_score, abs=1e-4)
    assert predictor.predict([]) == []


def test_what_cannot_be_loaded_or_asked_is_one_line(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no run here"):
        SelectivePredictor.load(tmp_path)
    with pytest.raises(ModelError, match="device 'nowhere' is not available"):
        SelectivePredictor.load(finished, device="nowhere")
    with pytest.raises(ModelError, match=r"leaves .* beside soft tokens and answer"):
        SelectivePredictor.load(finished).predict([Question("long", "Who? " * 200)])


def test_threads_change_no_answer(finished: Path) -> None:
    """Eight threads on two predictors give what one thread gives, and leave the predictors as they were."""
    predictors = [SelectivePredictor.load(finished) for _ in range(2)]
    questions = [[f"Where was piano {i} built?", f"Who owned the old piano {i}?"] for i in range(8)]
    alone = [predictors[0].predict(pair) for pair in questions]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: predictors[i % 2].predict(questions[i]), range(len(questions))))
    assert together == alone
    for predictor in predictors:
        assert [predictor.predict(pair) for pair in questions] == alone
