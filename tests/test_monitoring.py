"""`aspire-llm drift`: live predictions of a run against its calibration."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aspire_llm.cli import main
from aspire_llm.config import RunConfig
from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer
from aspire_llm.results.calibration import CALIBRATION, Calibrated
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, outcome_file
from aspire_llm.selection.confidence import PlattCalibration


def answers(count: int, seed: int, shift: float = 0.0) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    scores, right = (rng.normal(size=count) + shift).tolist(), (rng.random(count) < 0.9).tolist()
    rows = zip(scores, right, rng.random(count).tolist(), strict=True)
    return [
        Prediction(
            Question(f"q{place}", "Where?", ("Paris",)),
            ScoredAnswer(Evidence(SampledAnswer("Paris", (1,), score, 1), log_self_eval=0.0), 0.75 * score),
            confidence=0.9,
            rouge_l=float(is_right),
            correct=is_right,
            novelty=p_value,
            target_risk=0.2,
        )
        for place, (score, is_right, p_value) in enumerate(rows)
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".aspire-run").touch()
    (folder / "config.yaml").write_text(RunConfig().to_yaml(), encoding="utf-8")
    CALIBRATION.write(folder, Calibrated(PlattCalibration(200, 1.0, 0.0)))
    CALIBRATION_PREDICTIONS.write(folder, answers(200, 0))
    return folder


def watched(run: Path, live: list[Prediction], *more: str) -> int:
    outcome_file("live.jsonl").write(run.parent, live)
    return main(["drift", str(run), "--input", str(run.parent / "live.jsonl"), *more])


def test_nothing_has_changed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(run, answers(500, 1)) == 0
    said = capsys.readouterr().out
    assert said.startswith("500 live questions against 200 calibration questions")
    for what in ("scores", "questions", "risk"):
        assert f"  {what}: no change seen" in said


def test_it_says_what_has_changed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(run, answers(500, 1, shift=-1.5)) == 0
    said = capsys.readouterr().out
    assert "scores have shifted: alarm at number" in said
    assert "questions: no change seen" in said
    alike = [replace(own, novelty=1.0 - (own.novelty or 0.0) / 10) for own in answers(500, 1)]
    assert watched(run, alike) == 0
    assert "questions are all alike: alarm at number" in capsys.readouterr().out
    new = [replace(own, novelty=0.01 + (own.novelty or 0.0) / 10) for own in answers(500, 1)]
    assert watched(run, new) == 0
    said = capsys.readouterr().out
    assert "questions are new: alarm at number" in said
    assert "scores: no change seen" in said
    assert watched(run, answers(500, 1), "--target-risk", "0.01") == 0
    assert "risk is above the target: alarm at number" in capsys.readouterr().out


def test_labels_may_come_later_and_withheld_answers_are_no_risk(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live = [
        replace(own, correct=None, rouge_l=None, abstained=place % 2 == 0) for place, own in enumerate(answers(80, 1))
    ]
    labels = run.parent / "labels.jsonl"
    labels.write_text("".join(f'{{"id": "q{i}", "correct": {str(i % 2 == 1).lower()}}}\n' for i in range(60)))
    assert watched(run, live) == 0
    assert "risk" not in capsys.readouterr().out
    assert watched(run, live, "--labelled", str(labels)) == 0
    assert "0 of 30 answers wrong, the target is 20%" in capsys.readouterr().out


def test_of_questions_of_one_group_one_counts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live = [replace(own, question=replace(own.question, group="story")) for own in answers(40, 1, shift=-5.0)]
    assert watched(run, live) == 0
    said = capsys.readouterr().out
    assert said.startswith("40 live questions in 1 groups, the first of each against 200 calibration questions")
    assert "scores: no change seen" in said
    assert "of 1 answers wrong" in said


def test_labels_of_a_stream_with_repeated_ids_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two nights' predictions in one file, each numbered from 1: a label could be of either."""
    labels = run.parent / "labels.jsonl"
    labels.write_text('{"id": "q3", "correct": false}\n{"id": "q3", "correct": true}\n')
    assert watched(run, answers(30, 1), "--labelled", str(labels)) == 0
    assert "0 of 1 answers wrong" in capsys.readouterr().out  # the last label of a question counts
    assert watched(run, answers(30, 1) + answers(30, 2), "--labelled", str(labels)) == 2
    error = capsys.readouterr().err
    assert "labels of 1 questions whose id several predictions have, 'q3' for one" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.jsonl", '\ufeff{"id": "q3", "correct": false}\n\n{"id": "q4", "correct": null}\n\n'),
        ("labels.json", '[{"id": "q3", "correct": "False"}, {"id": "q4", "correct": null}]'),
    ],
)
def test_labels_are_read_as_data_are(run: Path, capsys: pytest.CaptureFixture[str], name: str, content: str) -> None:
    labels = run.parent / name
    labels.write_text(content, encoding="utf-8")
    assert watched(run, answers(30, 1), "--labelled", str(labels)) == 0
    assert "1 of 1 answers wrong" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"id": "other", "correct": true}', "labels of 1 questions that are not among the predictions: 'other'"),
        ('{"id": "q1", "correct": "yes"}', "'correct' must be true or false, got 'yes'"),
        ('{"id": "q1"}', "'correct' is missing"),
        ('{"correct": true}', "'id' is missing"),
        ("{", "labels.jsonl, row 1:"),
    ],
)
def test_labels_that_do_not_fit(run: Path, capsys: pytest.CaptureFixture[str], content: str, said: str) -> None:
    labels = run.parent / "labels.jsonl"
    labels.write_text(content + "\n")
    assert watched(run, answers(30, 1), "--labelled", str(labels)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_is_no_prediction(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = run.parent / "questions.jsonl"
    source.write_text(json.dumps({"question": "Where?"}) + "\n")
    for path in (source, run.parent / "none.jsonl"):
        assert main(["drift", str(run), "--input", str(path)]) == 2
        error = capsys.readouterr().err
        assert "holds no lines that aspire-llm predict writes" in error
        assert error.count("\n") == 1
    no_target = [replace(own, target_risk=None) for own in answers(30, 1)]
    assert watched(run, no_target) == 2
    assert "give --target-risk" in capsys.readouterr().err
