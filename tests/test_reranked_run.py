"""Runs that answer with the best-scored of the likeliest beams: everything is about the answer that is given."""

import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import tiny_fused_config
from selection.test_reranking import QUESTION, evidence, fused
from stored import lines_of

from aspire_llm import Prediction, SelectivePredictor, run
from aspire_llm.cli import main
from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config, with_changes
from aspire_llm.correctness import label
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.records import Mark, ScoredAnswer
from aspire_llm.results.calibration import CALIBRATION, calibrate, decision_rule
from aspire_llm.results.common_answers import StoredAnswers
from aspire_llm.results.fused import FUSED
from aspire_llm.results.metrics import METRICS
from aspire_llm.results.predictions import (
    CALIBRATION_PREDICTIONS,
    LABELLED_PREDICTIONS,
    PREDICTIONS,
    VALIDATION_PREDICTIONS,
    outcome_file,
)
from aspire_llm.run_model import RunModel
from aspire_llm.selection import Calibration, Certified, FusedScore, Infeasible, Part, RiskTarget, fit_calibration
from aspire_llm.selection.drift import first_of_each

CANDIDATES = 3
FILES = ("predictions.jsonl", "calibration_predictions.jsonl", "calibration.json", "fused.json", "tables/accuracy.csv")


@pytest.fixture(scope="module")
def config(model_folder: Path, data_file: Path) -> RunConfig:
    return tiny_fused_config(model_folder, data_file, num_beams=4)


@pytest.fixture(scope="module")
def plain(config: RunConfig, run_of: Callable[[RunConfig], Path]) -> Path:
    return run_of(config)


@pytest.fixture(scope="module")
def reranking(config: RunConfig, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with the setting on; no model is loaded for that."""
    folder = tmp_path_factory.mktemp("runs") / "reranking"
    shutil.copytree(plain, folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunModel, "__init__", lambda *args: pytest.fail("a model was loaded"))
        run(with_changes(config, [("score.candidates", CANDIDATES)]), folder)
    return folder


@pytest.fixture
def copy(reranking: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reranking, tmp_path / "run"))


def score_of(run: Path) -> FusedScore:
    found = FUSED.read(run)
    assert isinstance(found, FusedScore)
    return found


def test_the_beam_that_the_score_ranks_first_is_given(reranking: Path, plain: Path) -> None:
    score, predictions = score_of(reranking), PREDICTIONS.read(reranking)
    assert Part.VERDICT not in score.parts
    assert any(own.passed_over for own in predictions)
    for own, before in zip(predictions, PREDICTIONS.read(plain), strict=True):
        known = own.scored.evidence
        scores = [score.score(replace(known, answer=beam, log_self_eval=None)) for beam in known.beams[:CANDIDATES]]
        assert own.sampled == known.beams[scores.index(max(scores))]
        assert own.scored.selection_score == max(scores)
        labelled = label(own.sampled, own.question, 0.7)
        assert (own.rouge_l, own.correct) == (labelled.rouge_l, labelled.correct)
        likeliest = own.likeliest
        assert likeliest.scored.evidence == before.scored.evidence  # its verdict, too
        assert (likeliest.rouge_l, likeliest.correct) == (before.rouge_l, before.correct)


def test_confidence_is_fitted_on_the_answers_given(reranking: Path) -> None:
    calibration = CALIBRATION_PREDICTIONS.read(reranking)
    assert any(own.passed_over for own in calibration)
    scores = [own.scored.selection_score for own in calibration]
    groups = [own.question.group for own in calibration]
    fitted = fit_calibration(scores, [bool(own.correct) for own in calibration], "auto", groups=groups)
    assert CALIBRATION.read(reranking).confidence == fitted
    for own in PREDICTIONS.read(reranking):
        expected = fitted.confidence(own.scored.selection_score) if isinstance(fitted, Calibration) else None
        assert own.confidence == expected


def test_methods_are_compared_on_the_likeliest_answers(reranking: Path, plain: Path) -> None:
    before, after = METRICS.read(plain), METRICS.read(reranking)
    same = {name for name in before.methods if name != "fused"}
    assert len(same) > 5
    assert {name: after.methods[name] for name in same} == {name: before.methods[name] for name in same}
    assert (after.accuracy, after.accuracy_ci) == (before.accuracy, before.accuracy_ci)
    assert after.methods["fused"].accuracy == before.accuracy
    assert before.reranked is None
    predictions, found = PREDICTIONS.read(reranking), after.reranked
    assert found is not None
    right = [bool(own.correct) for own in predictions]
    assert found.candidates == CANDIDATES
    assert found.changed == sum(own.passed_over is not None for own in predictions) / 20
    assert found.accuracy == sum(right) / 20
    assert found.gain.estimate == pytest.approx(found.accuracy - before.accuracy)
    assert isinstance(found.gain.ci, tuple)
    assert found.gain.ci[0] <= found.accuracy - before.accuracy <= found.gain.ci[1]
    if after.confidence is not None:  # of the answers given
        errors = [((own.confidence or 0.0) - is_right) ** 2 for own, is_right in zip(predictions, right, strict=True)]
        assert after.confidence.brier == pytest.approx(sum(errors) / 20)


def test_tables_and_report_say_both_accuracies(reranking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = METRICS.read(reranking)
    assert metrics.reranked is not None
    both = f"{100 * metrics.accuracy:.1f} → {100 * metrics.reranked.accuracy:.1f}%"
    said = f"Answering with the best-scored of {CANDIDATES} beams: accuracy {both}"
    table = (reranking / "tables" / "accuracy.md").read_text(encoding="utf-8")
    assert said in table
    assert f"| After tuning, best-scored of {CANDIDATES} beams |" in table
    page = (reranking / "report.html").read_text(encoding="utf-8")
    assert said in page
    assert page.count("<dt>Likeliest</dt>") == sum(own.passed_over is not None for own in PREDICTIONS.read(reranking))
    assert main(["evaluate", str(reranking)]) == 0
    assert said in capsys.readouterr().out
    assert main(["compare", str(reranking)]) == 0
    assert "Best-scored beam" in capsys.readouterr().out


def test_without_the_setting_all_is_as_it_was(copy: Path, plain: Path, config: RunConfig) -> None:
    assert (copy / "predictions.jsonl").read_bytes() != (plain / "predictions.jsonl").read_bytes()
    run(config, copy)
    for name in FILES:
        assert (copy / name).read_bytes() == (plain / name).read_bytes(), name
    assert METRICS.read(copy) == METRICS.read(plain)


def test_a_predictor_gives_the_same_answers_and_asks_no_verdict(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(AdaptedModel, "verdict_logits", lambda *args, **kwargs: pytest.fail("θs was asked"))
    stored = PREDICTIONS.read(copy)
    for own, expected in zip(
        SelectivePredictor.load(copy).predict([own.question for own in stored]), stored, strict=True
    ):
        assert own.sampled.token_ids == expected.sampled.token_ids
        assert own.scored.selection_score == pytest.approx(expected.scored.selection_score, abs=1e-3)
        assert (own.rouge_l, own.correct, own.abstained) == (expected.rouge_l, expected.correct, expected.abstained)
    other = next(own for own in stored if own.passed_over)
    assert main(["ask", str(copy), other.question.question]) == 0
    assert f"best-scored answer: {other.sampled.text!r}" in capsys.readouterr().err
    asked = tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"id": "a", "question": other.question.question}) + "\n", encoding="utf-8")
    command = ["predict", str(copy), "--input", str(asked), "--output", str(tmp_path / "out.jsonl")]
    assert main([*command, "--include-candidates"]) == 0
    (line,) = lines_of(tmp_path, "out.jsonl")
    beams = [beam for beam in other.scored.evidence.beams if beam != other.sampled]
    assert [own["text"] for own in line["candidates"]] == [beam.text for beam in beams]
    assert all(own["selection_score"] <= line["selection_score"] for own in line["candidates"][: CANDIDATES - 1])


def test_marks_are_about_the_answers_given(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = tmp_path / "asked.jsonl"
    rows = [{"id": f"a{place}", "question": f"Who owned organ {place}?"} for place in range(24)]
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["predict", str(copy), "--input", str(asked), "--output", str(tmp_path / "live.jsonl")]) == 0
    live = lines_of(tmp_path, "live.jsonl")
    marked = "".join(json.dumps(row | {"correct": place % 3 > 0}) + "\n" for place, row in enumerate(live))
    (tmp_path / "marked.jsonl").write_text(marked, encoding="utf-8")
    assert main(["calibrate", str(copy), "--data", str(tmp_path / "marked.jsonl")]) == 0
    rule = StoredAnswers.read(copy).rule
    labelled = [rule.decide_again(own) for own in LABELLED_PREDICTIONS.read(copy)]
    assert any(own.passed_over for own in labelled)
    assert [own.correct for own in labelled] == [place % 3 > 0 for place in range(24)]
    fitted = fit_calibration(
        [own.scored.selection_score for own in labelled],
        [bool(own.correct) for own in labelled],
        "auto",
        groups=[own.question.cluster for own in labelled],
    )
    assert CALIBRATION.read(copy).confidence == fitted
    # Of likeliest answers that nobody saw nothing is known, and methods are compared on these.
    unseen = sum(own.likeliest.correct is None for own in labelled)
    assert main(["evaluate", str(copy), "--data", str(tmp_path / "marked.jsonl")]) == 2
    error = capsys.readouterr().err
    assert f"{unseen} of 24 predictions have no reference" in error
    assert "set score.candidates to 1" in error


def test_live_scores_are_held_against_those_of_the_answers_given(
    reranking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = CALIBRATION_PREDICTIONS.read(reranking)
    outcome_file("live.jsonl").write(tmp_path, live)
    assert main(["drift", str(reranking), "--input", str(tmp_path / "live.jsonl"), "--target-risk", "0.9"]) == 0
    drawn = first_of_each(live, lambda own: own.question)
    median = f"{statistics.median(own.scored.selection_score for own in drawn):.3g}"
    assert f"median {median}, at calibration {median}" in capsys.readouterr().out


def test_cascades_and_other_data_get_the_answers_given(copy: Path, data_file: Path) -> None:
    found = StoredAnswers.read(copy)
    given = {own.question.id: own for file in (CALIBRATION_PREDICTIONS, PREDICTIONS) for own in file.read(copy)}
    assert {name: found.answers[name].sampled for name in given} == {name: own.sampled for name, own in given.items()}
    assert {name: found.answers[name].correct for name in given} == {name: own.correct for name, own in given.items()}
    pilot = [found.answers[own.question.id] for own in VALIDATION_PREDICTIONS.read(copy)]
    assert any(own.passed_over for own in pilot)
    assert main(["evaluate", str(copy), "--data", str(data_file)]) == 0
    (folder,) = (copy / "evaluations").iterdir()
    metrics, predictions = METRICS.read(folder), PREDICTIONS.read(folder)
    assert metrics.reranked is not None
    assert metrics.reranked.accuracy == sum(bool(own.correct) for own in predictions) / 120
    assert metrics.accuracy == sum(bool(own.likeliest.correct) for own in predictions) / 120


def answered(count: int) -> list[Prediction]:
    """The likeliest answers to many questions, all wrong; the states prefer a second beam, which is right for 95%."""
    return [
        Prediction(
            replace(QUESTION, id=f"q{place}", references=("Bergen" if 20 * place >= count else "Rome",)),
            ScoredAnswer(evidence(0.0, 1.0 + place / count, -9.0), 0.0),
            rouge_l=0.0,
            correct=False,
        )
        for place in range(count)
    ]


def test_confidence_and_thresholds_are_about_the_answers_given() -> None:
    config = load_config(None, [("score.kind", "fused"), ("score.candidates", 2), ("score.calibration", "platt")])
    own, rule = answered(200), decision_rule(config, fused=fused(1.0))
    found = calibrate(config, own, lambda: answered(100), rule, [RiskTarget(0.1, 0.05)])
    expected = fit_calibration(
        [0.1 + place / 200 for place in range(200)], [place >= 10 for place in range(200)], "platt"
    )
    assert isinstance(found.confidence, Calibration)
    assert isinstance(expected, Calibration)
    assert found.confidence.confidence(0.5) == pytest.approx(expected.confidence(0.5))
    outcome = found.guarantee(0.1).outcome
    assert isinstance(outcome, Certified)  # by the likeliest, which are all wrong, nothing could be
    assert outcome.risk == pytest.approx(10 / 200)
    unknown = [replace(p, question=replace(p.question, references=()), rouge_l=None) for p in own]
    marked = [replace(p, mark=Mark("Oslo", True), correct=True) for p in unknown]
    assert calibrate(config, marked, list, rule).confidence == Infeasible(
        "0 calibration answers; it takes at least 20"
    )  # no mark is about an answer given


def test_without_a_fused_score_the_likeliest_is_given_and_that_is_said() -> None:
    config = load_config(None, [("score.kind", "fused"), ("score.candidates", 2)])
    paper = decision_rule(config, fused=Infeasible("too few"))
    assert paper.candidates == 1
    assert paper.caveats[0] == "no fused score (too few): the paper's is used, and answers are the likeliest"
    one = decision_rule(load_config(None, [("score.kind", "fused")]), fused=Infeasible("too few"))
    assert one.caveats[0] == "no fused score (too few): the paper's is used"
