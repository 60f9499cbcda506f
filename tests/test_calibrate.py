"""`aspire-llm calibrate`, and what decides by what it certified."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored import killed_at_second_call

from aspire_llm import Question, SelectivePredictor
from aspire_llm.cli import main
from aspire_llm.errors import ConfigError
from aspire_llm.records import Prediction, Reason
from aspire_llm.results.calibration import CALIBRATION, judged_scores
from aspire_llm.results.predictions import (
    CALIBRATION_PREDICTIONS,
    LABELLED_PREDICTIONS,
    PREDICTIONS,
    VALIDATION_PREDICTIONS,
)
from aspire_llm.rundir.files import Lines
from aspire_llm.selection import Certified, Guarantee, Uncertified, guarantee, realised

SETTINGS = [
    "data.splits={train: 10, validation: 100, calibration: 100, test: 60}",
    "stage1.num_soft_tokens=4",
    "stage1.epochs=1",
    "stage2={num_beams: 2, max_new_tokens: 4, batch_size: 8}",
    "stage3.num_soft_tokens=4",
    "stage3.epochs=1",
    "states.enabled=false",
    "rivals.untuned=false",
    "score.novelty_level=0",
]


@pytest.fixture(scope="module")
def finished(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose stored answers were judged otherwise: what scores high is right, as a rule."""
    folder = tmp_path_factory.mktemp("calibrate")
    rows = [
        {"question": f"Where was piano {i} built?", "answer": "Paris", "maker": "Erard" if i % 3 else "Pleyel"}
        for i in range(270)
    ]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ["run", "--model", str(model_folder), "--data", str(data), "--output", str(folder / "run")]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    assert main(["calibrate", str(folder / "run"), "--target-risk", "0.5"]) == 0  # answers the validation questions
    CALIBRATION.write(folder / "run", replace(CALIBRATION.read(folder / "run"), guarantees=()))
    for seed, file in enumerate((VALIDATION_PREDICTIONS, CALIBRATION_PREDICTIONS, PREDICTIONS)):
        judge_otherwise(folder / "run", file, seed)
    return folder / "run"


def judge_otherwise(run: Path, file: Lines[Prediction], seed: int) -> None:
    """Give stored answers other likelihoods, and call right what is likely, but for some."""
    rng = np.random.default_rng(seed)
    changed = []
    for prediction in file.read(run):
        evidence = prediction.scored.evidence
        likelihood = float(-rng.exponential())
        likely = replace(evidence, answer=replace(evidence.answer, log_likelihood=likelihood), log_self_eval=-0.1)
        right = rng.random() < 1 / (1 + math.exp(-5 * (likelihood + 1.2)))
        scored = replace(prediction.scored, evidence=likely)
        changed.append(replace(prediction, scored=scored, rouge_l=float(right), correct=bool(right)))
    file.write(run, changed)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def calibrate(run: Path, *more: str) -> int:
    return main(["calibrate", str(run), *more])


def certified(found: Guarantee) -> Certified:
    assert isinstance(found.outcome, Certified)
    return found.outcome


def test_it_prints_what_it_promises_with_what_came_of_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(run, "--target-risk", "0.2", "--target-risk", "0.01", "--delta", "0.1") == 0
    printed = capsys.readouterr().out
    assert "Of questions like the 100 calibration questions, at most 20% of the answered ones are wrong, with 90%" in (
        printed
    )
    assert (
        "At most 1% wrong answers cannot be certified with 90% certainty: 100 independent questions, and it takes"
        in (printed)
    )
    stored = CALIBRATION.read(run)
    low, high = stored.guarantees
    assert (low.target.risk, high.target.risk) == (0.01, 0.2)
    assert isinstance(low.outcome, Uncertified)
    judged = judged_scores(CALIBRATION_PREDICTIONS.read(run), 0.0)
    pilot = judged_scores(VALIDATION_PREDICTIONS.read(run), 0.0)
    assert high == guarantee(judged, pilot, high.target, score="aspire")
    content = json.loads((run / "calibration.json").read_text(encoding="utf-8"))
    assert content["guarantees"][1]["sentence"] == high.sentence
    came = realised(certified(high).threshold, judged_scores(PREDICTIONS.read(run), 0.0))
    assert came.risk is not None
    row = next(line for line in printed.splitlines() if line.startswith("20%"))
    assert f"{100 * came.coverage:.1f}" in row
    assert f"{100 * came.risk:.1f} [" in row
    page = (run / "report.html").read_text(encoding="utf-8")
    assert high.sentence.split(";")[0] in page
    assert "Risk by coverage on the test questions, with the certified thresholds" in page


def test_a_page_without_a_guarantee_has_no_such_section(run: Path) -> None:
    assert calibrate(run, "--target-risk", "0.01") == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert 'id="guarantees"' in page
    assert "with the certified thresholds" not in page  # nothing is certified
    CALIBRATION.write(run, replace(CALIBRATION.read(run), guarantees=()))
    assert calibrate(run) == 0
    assert 'id="guarantees"' not in (run / "report.html").read_text(encoding="utf-8")


def test_the_certified_threshold_decides(run: Path, tmp_path: Path) -> None:
    assert calibrate(run, "--target-risk", "0.2") == 0
    predictor = SelectivePredictor.load(run)
    promise = predictor.guarantee(0.2)
    asked = ["Where was piano 3 built?", "Where was the old piano built?"]
    by_confidence, by_target = predictor.predict(asked), predictor.predict(asked, target_risk=0.2)
    for one, other in zip(by_confidence, by_target, strict=True):
        assert one.scored == other.scored
        assert (one.target_risk, other.target_risk) == (None, 0.2)
        below = other.scored.selection_score < certified(promise).threshold
        assert other.abstained == below
        assert other.reason is (Reason.BELOW_THRESHOLD if below else Reason.SURE_ENOUGH)
        assert "certified for at most 20% wrong answers" in other.why
    questions, output = tmp_path / "q.jsonl", tmp_path / "p.jsonl"
    questions.write_text("".join(json.dumps({"question": own}) + "\n" for own in asked), encoding="utf-8")
    command = ["predict", str(run), "--input", str(questions), "--output", str(output), "--target-risk", "0.2"]
    assert main(command) == 0
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [line["abstained"] for line in lines] == [own.abstained for own in by_target]
    assert [line["reason"] for line in lines] == [own.reason for own in by_target]
    assert [line["target_risk"] for line in lines] == [0.2, 0.2]


def test_a_promise_for_every_maker(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(run, "--target-risk", "0.3", "--per", "maker", "--delta", "0.2") == 0
    assert calibrate(run, "--target-risk", "0.4") == 0  # what was asked for before stays
    printed = capsys.readouterr().out
    assert "calibration questions whose maker is 'Erard', at most 30% of the answered ones are wrong" in printed
    assert "all of them together with at least 75%" in printed
    (sliced,) = CALIBRATION.read(run).slices
    assert set(sliced.by_value) == {"Erard", "Pleyel"}
    content = json.loads((run / "calibration.json").read_text(encoding="utf-8"))
    assert content["slices"][0]["values"]["Erard"]["sentence"] == sliced.by_value["Erard"].sentence
    rows = [{"question": f"Where was piano {i} built?", "maker": own} for i, own in enumerate(["Erard", "Gaveau", ""])]
    questions, output = tmp_path / "q.jsonl", tmp_path / "p.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = ["predict", str(run), "--input", str(questions), "--output", str(output)]
    assert main([*command, "--target-risk", "0.3", "--per", "maker"]) == 0
    erard, gaveau, none = (json.loads(line) for line in output.read_text(encoding="utf-8").splitlines())
    assert erard["metadata"] == {"maker": "Erard"}
    assert erard["abstained"] == (erard["selection_score"] < certified(sliced.by_value["Erard"]).threshold)
    assert gaveau["reason"] == none["reason"] == "not_certified"
    assert "nothing is certified for its maker" in gaveau["why"]
    assert "metadata" not in none
    assert main([*command, "--target-risk", "0.3"]) == 2
    assert "(known: 0.4, 0.3 --per maker)" in capsys.readouterr().err
    assert main([*command, "--per", "maker"]) == 2
    assert "takes a target risk too" in capsys.readouterr().err
    assert calibrate(run, "--target-risk", "0.3", "--per", "builder") == 2
    assert "no calibration question has the field 'builder'" in capsys.readouterr().err


def test_what_is_not_certified_answers_nothing_and_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(run, "--target-risk", "0.01") == 0
    capsys.readouterr()
    assert main(["ask", str(run), "Where was piano 3 built?", "--target-risk", "0.01"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == "I don't know"
    assert "warning: every answer is withheld. At most 1% wrong answers cannot be certified" in said.err
    found = SelectivePredictor.load(run, target_risk=0.01).predict([Question("q", "Where was piano 3 built?")])[0]
    assert (found.abstained, found.reason) == (True, Reason.NOT_CERTIFIED)


def test_a_target_that_was_not_asked_for_is_an_error_that_says_how(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["ask", str(run), "Who?", "--target-risk", "0.3"], ["calibrate", str(run), "--target-risk", "1.5"]):
        capsys.readouterr()
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "--target-risk 0.3" in error or "the target risk is 1.5; it must lie between 0 and 1" in error
    with pytest.raises(ConfigError, match=r"nothing is certified for a target risk of 0\.3"):
        SelectivePredictor.load(run).predict(["Who?"], target_risk=0.3)


def test_other_settings_of_the_score_certify_again(run: Path) -> None:
    assert calibrate(run, "--target-risk", "0.2") == 0
    before = CALIBRATION.read(run).guarantee(0.2)
    config = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(config.replace("alpha: 0.25", "alpha: 0.0"), encoding="utf-8")
    assert calibrate(run) == 0
    after = CALIBRATION.read(run).guarantee(0.2)
    # The verdict is the same for every answer here, so the order stays and the scale changes.
    assert certified(after).coverage == certified(before).coverage
    assert certified(after).threshold != certified(before).threshold


def test_a_target_of_the_settings_decides_about_the_run_s_own_answers(run: Path) -> None:
    config = (run / "config.yaml").read_text(encoding="utf-8")
    changed = config.replace("target_risk: null", "target_risk: 0.2").replace("delta: 0.05", "delta: 0.1")
    (run / "config.yaml").write_text(changed, encoding="utf-8")
    assert calibrate(run) == 0
    found = CALIBRATION.read(run).guarantee(0.2)
    assert found.target.delta == 0.1
    for own in PREDICTIONS.read(run):
        assert own.abstained == (own.scored.selection_score < certified(found).threshold)
        assert own.target_risk == 0.2


def test_other_questions_calibrate_when_they_are_given(run: Path, tmp_path: Path) -> None:
    rows = [{"question": f"Where was organ {i} built?", "answer": "Rome"} for i in range(30)]
    other = tmp_path / "production.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert calibrate(run, "--target-risk", "0.5", "--data", str(other)) == 0
    stored = CALIBRATION.read(run)
    assert stored.source == str(other)
    assert stored.guarantee(0.5).num_questions == 30
    assert isinstance(stored.guarantee(0.5).outcome, Uncertified)  # the tiny model knows nothing
    judge_otherwise(run, LABELLED_PREDICTIONS, 7)
    assert calibrate(run, "--target-risk", "0.6") == 0  # goes on with those
    assert [own.num_questions for own in CALIBRATION.read(run).guarantees] == [30, 30]
    assert CALIBRATION.read(run).confidence.num_items == 30  # type: ignore[union-attr]


def test_a_killed_command_leaves_the_calibration_that_was(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert calibrate(run, "--target-risk", "0.5") == 0
    before = (run / "calibration.json").read_bytes()
    rows = [{"question": f"Where was organ {i} built?", "answer": "Rome"} for i in range(70)]
    other = tmp_path / "production.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    calls = killed_at_second_call(monkeypatch)
    assert calibrate(run, "--data", str(other)) == 130
    assert (run / "calibration.json").read_bytes() == before
    assert not LABELLED_PREDICTIONS.exists(run)
    assert calibrate(run, "--data", str(other)) == 0  # goes on
    assert sum(calls) == 70 + calls[1]
    assert CALIBRATION.read(run).guarantee(0.5).num_questions == 70


def test_what_a_killed_command_answered_belongs_to_the_groups_of_then(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "production.jsonl"
    killed_at_second_call(monkeypatch)
    for group, code in (("article {}", 130), ("all", 0)):
        rows = [
            {"question": f"Where was organ {i} built?", "answer": "Rome", "group": group.format(i), "topic": group}
            for i in range(70)
        ]
        other.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert calibrate(run, "--data", str(other), "--target-risk", "0.5") == code
    found = {(own.question.group, own.question.metadata["topic"]) for own in LABELLED_PREDICTIONS.read(run)}
    assert found == {("all", "all")}
    assert CALIBRATION.read(run).guarantee(0.5).num_groups == 1


def test_it_says_when_the_other_questions_are_gone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CALIBRATION.write(run, replace(CALIBRATION.read(run), source="production.jsonl"))
    assert calibrate(run, "--target-risk", "0.5") == 0
    assert "warning: the answers to production.jsonl are gone" in capsys.readouterr().err
    assert CALIBRATION.read(run).source is None
    assert CALIBRATION.read(run).guarantee(0.5).num_questions == 100


@pytest.mark.parametrize(
    ("known", "where"),
    [
        (lambda run: VALIDATION_PREDICTIONS.read(run)[0].question.question, "validation split"),
        (
            lambda run: f"  {VALIDATION_PREDICTIONS.read(run)[0].question.question.upper().strip('?')}",
            "validation split",
        ),
        (lambda run: PREDICTIONS.read(run)[0].question.question, "test split"),
    ],
)
def test_questions_that_the_run_has_seen_do_not_calibrate_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], known: Callable[[Path], str], where: str
) -> None:
    rows = [{"id": "seen", "question": known(run), "answer": "Paris"}, {"question": "Where is Lima?", "answer": "Peru"}]
    data = tmp_path / "mixed.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    before = (run / "calibration.json").read_bytes()
    assert calibrate(run, "--target-risk", "0.5", "--data", str(data)) == 2
    error = capsys.readouterr().err
    assert f"1 of 2 questions stand in the run's {where}, 'seen' for one" in error
    assert error.count("\n") == 1
    assert (run / "calibration.json").read_bytes() == before
    assert not (run / LABELLED_PREDICTIONS.name).exists()


def test_the_certainty_of_the_runs_own_promise_is_not_ignored(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = (run / "config.yaml").read_text(encoding="utf-8").replace("target_risk: null", "target_risk: 0.5")
    (run / "config.yaml").write_text(config, encoding="utf-8")
    before = (run / "calibration.json").read_bytes()
    assert calibrate(run, "--target-risk", "0.5", "--delta", "0.01") == 2
    error = capsys.readouterr().err
    assert "this run itself promises a risk of 0.5 at a delta of 0.05, not 0.01" in error
    assert error.count("\n") == 1
    assert (run / "calibration.json").read_bytes() == before
    assert calibrate(run, "--target-risk", "0.5") == 0
    assert calibrate(run, "--target-risk", "0.4", "--delta", "0.01") == 0
    assert [own.delta for own in CALIBRATION.read(run).targets] == [0.01, 0.05]
