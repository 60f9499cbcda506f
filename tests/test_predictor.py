"""The predictor of a finished run, as other programs use it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aspire_llm import SelectivePredictor, run
from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config, with_changes
from aspire_llm.errors import ModelError, RunDirectoryError
from aspire_llm.records import Question


@pytest.fixture(scope="module")
def config(model_folder: Path, data_file: Path) -> RunConfig:
    training = {"num_soft_tokens": 4, "learning_rate": 0.03, "epochs": 2}
    return parse_config(
        {
            "model": str(model_folder),
            "data": {"path": str(data_file), "splits": {"train": 40, "validation": 10, "calibration": 30, "test": 30}},
            "stage1": training,
            "stage2": {"num_beams": 3, "max_new_tokens": 6, "batch_size": 4},
            "stage3": training,
        }
    )


@pytest.fixture(scope="module")
def finished(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(config, folder)
    return folder


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


@pytest.mark.parametrize("adapter", ["soft_prompt", "lora"])
def test_threads_change_no_answer(adapter: str, config: RunConfig, tmp_path: Path) -> None:
    """Eight threads on two predictors give what one thread gives, and leave the predictors as they were."""
    trained = {"adapter": adapter, "lora_rank": 2}
    changes = [(f"{stage}.{key}", value) for stage in ("stage1", "stage3") for key, value in trained.items()]
    run(with_changes(config, changes), tmp_path / "run")
    predictors = [SelectivePredictor.load(tmp_path / "run") for _ in range(2)]
    questions = [[f"Where was piano {i} built?", f"Who owned the old piano {i}?"] for i in range(24)]
    alone = [predictors[0].predict(pair) for pair in questions]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: predictors[i % 2].predict(questions[i]), range(len(questions))))
    assert together == alone
    for predictor in predictors:
        assert [predictor.predict(pair) for pair in questions] == alone
