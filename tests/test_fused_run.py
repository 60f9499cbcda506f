"""Runs that decide by the fused score: what is computed, what is stored, and what happens where it cannot be fitted."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import tiny_fused_config

from aspire_llm import SelectivePredictor, run
from aspire_llm.cli import main
from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.model import Backbone
from aspire_llm.methods.fused import fit_validation_fused
from aspire_llm.results.fused import FUSED
from aspire_llm.results.predictions import PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.results.scores import COSTS
from aspire_llm.results.states import STATES
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import FusedScore, Infeasible, Part
from aspire_llm.stages.training_loop import TrainingLoop
from aspire_llm.studies import sweep


@pytest.fixture(scope="module")
def config(model_folder: Path, data_file: Path) -> RunConfig:
    return tiny_fused_config(model_folder, data_file, num_beams=3, folds=2)


@pytest.fixture(scope="module")
def finished(config: RunConfig, run_of: Callable[[RunConfig], Path]) -> Path:
    return run_of(config)


def test_it_is_fitted_on_validation_answers_and_decides(finished: Path, config: RunConfig) -> None:
    fused = FUSED.read(finished)
    assert isinstance(fused, FusedScore)
    assert fit_validation_fused(VALIDATION_PREDICTIONS.read(finished), config) == fused
    predictions = PREDICTIONS.read(finished)
    assert [own.scored.selection_score for own in predictions] == pytest.approx(
        [fused.score(own.scored.evidence) for own in predictions]
    )
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["reference"] == "fused"
    assert {"fused", "fused_likelihood", "aspire", "agreement_mass"} <= set(metrics["methods"])
    assert "fused - aspire" in metrics["differences"]
    seconds = PROVENANCE.read(finished).seconds_a_question
    costs = COSTS.read(finished)
    assert costs["aspire"].seconds >= seconds["self_evaluation"]
    assert (costs["fused"].seconds >= seconds["self_evaluation"]) == (Part.VERDICT in fused.parts)
    page = (finished / "report.html").read_text()
    assert "What the score that decides is made from" in page
    assert f"{max(fused.weights, key=abs):.2f}".replace("-", "−") in page


def test_a_predictor_computes_what_the_score_needs_and_nothing_else(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = FUSED.read(finished)
    assert isinstance(fused, FusedScore)
    stored = PREDICTIONS.read(finished)
    again = SelectivePredictor.load(finished).predict([own.question for own in stored])
    for own, expected in zip(again, stored, strict=True):
        assert own.scored.selection_score == pytest.approx(expected.scored.selection_score, abs=1e-3)
        assert (own.scored.evidence.states is None) == (Part.STATES not in fused.parts)
    # Without the verdict among its parts, no pass asks for one.
    cheap = replace(fused, parts=(Part.MEAN,), centres=(0.0,), scales=(1.0,), weights=(1.0,))
    FUSED.write(finished, cheap)
    monkeypatch.setattr(AdaptedModel, "verdict_logits", lambda *args, **kwargs: pytest.fail("θs was asked"))
    (own,) = SelectivePredictor.load(finished).predict(["Where was piano 3 built?"])
    FUSED.write(finished, fused)
    assert own.scored.evidence.self_eval is None
    assert own.scored.evidence.states is None
    assert own.scored.selection_score == pytest.approx(cheap.intercept + own.sampled.log_likelihood)


def test_without_stage_3_there_is_no_verdict(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    run(with_changes(config, [("stage3.enabled", False), ("stage2.folds", 1)]), folder)
    assert not (folder / "self_eval_adapter").exists()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert "aspire" not in metrics["methods"]
    assert all(own.scored.evidence.log_self_eval is None for own in PREDICTIONS.read(folder))
    assert main(["ask", str(folder), "Where was piano 3 built?"]) == 0
    assert "P(correct) by the model" not in capsys.readouterr().err
    config_file = tmp_path / "config.yaml"
    config_file.write_text(with_changes(config, [("stage2.folds", 1)]).to_yaml())
    changes = ["--set", "stage3.enabled=false", "--set", "score.kind=aspire"]
    assert main(["run", str(config_file), *changes, "--output", str(tmp_path / "other")]) == 2
    assert "set score.kind to fused, or score.alpha to 0" in capsys.readouterr().err


def test_where_it_cannot_be_fitted_the_paper_s_decides_and_that_is_said(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    metrics = run(with_changes(config, [("data.splits.validation", 10), ("stage2.folds", 1)]), folder)
    said = "no fused score ("
    assert said in capsys.readouterr().err
    assert any(note.lower().startswith(said) for note in metrics.notes)
    for own in PREDICTIONS.read(folder):
        evidence = own.scored.evidence
        expected = 0.75 * evidence.answer.log_likelihood + 0.25 * (evidence.log_self_eval or 0.0)
        assert own.scored.selection_score == pytest.approx(expected)
    assert said in SelectivePredictor.load(folder).caveats[0]


def test_a_model_that_hides_its_layers_does_without_states(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backbone, "layers", [])
    metrics = run(with_changes(config, [("stage2.folds", 1), ("score.kind", "aspire")]), tmp_path / "run")
    assert STATES.read(tmp_path / "run") == Infeasible("the model does not show what its layers give")
    assert any(note.startswith("Left out: states") for note in metrics.notes)


@pytest.mark.slow
def test_a_sweep_tunes_no_fold_again(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, titles = tmp_path / "run", []
    shutil.copytree(finished, folder)
    fit = TrainingLoop.fit
    monkeypatch.setattr(TrainingLoop, "fit", lambda self, *args: titles.append(self._title) or fit(self, *args))
    sweep(folder, ["correctness.train_threshold=0.3"])
    assert titles == ["stage 3"]


def test_a_judge_without_a_verdict_is_refused(
    config: RunConfig, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge, folder = tmp_path / "judge", tmp_path / "run"
    run(with_changes(config, [("stage3.enabled", False), ("stage2.folds", 1)]), judge)
    shutil.copytree(finished, folder)
    settings = tmp_path / "config.yaml"
    settings.write_text(with_changes(config, [("rivals.judge", str(judge))]).to_yaml())
    assert main(["run", str(settings), "--output", str(folder), "--methods", "cross_model"]) == 2
    assert "has no θs (stage3.enabled is off)" in capsys.readouterr().err
