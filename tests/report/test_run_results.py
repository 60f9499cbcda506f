"""What is read from a run directory, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report.by_hand import figures, run_metrics
from report.rich_run import SWEPT, TUNED, UNTUNED

from aspire_llm.errors import RunDirectoryError
from aspire_llm.records import Answers, Prediction
from aspire_llm.report.run_results import best_rival, read_run_results
from aspire_llm.results.metrics import METRICS
from aspire_llm.results.predictions import PREDICTIONS
from aspire_llm.results.scores import scores_file
from aspire_llm.results.studies import SWEEPS, Sweeps


def test_scores_are_those_of_the_files(rich_dir: Path, predictions: list[Prediction]) -> None:
    results = read_run_results(rich_dir)
    methods = {answers: {method.name: method for method in results.method_scores(answers)} for answers in Answers}
    assert set(methods[Answers.TUNED]) == set(TUNED)
    assert set(methods[Answers.UNTUNED]) == set(UNTUNED)
    sar = methods[Answers.TUNED]["sar"]
    assert list(sar.scores) == json.loads((rich_dir / "scores" / "sar.json").read_text())["scores"]
    assert sar.correct == tuple(own.correct for own in predictions)
    assert sar.groups == tuple(own.question.group for own in predictions)
    assert sum(methods[Answers.UNTUNED]["perplexity_untuned"].correct) < sum(sar.correct) / 5


def test_without_stored_scores_there_are_no_curves_and_a_note_says_so(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "scores")
    results = read_run_results(run_dir)
    assert results.method_scores(Answers.TUNED) == []
    assert results.notes == ("scores/ is missing, so there is no part with curves.",)


def test_a_method_that_metrics_do_not_name_is_left_out(rich_dir: Path) -> None:
    metrics = METRICS.read(rich_dir)
    kept = {name: own for name, own in metrics.methods.items() if name != "sar"}
    METRICS.write(rich_dir, replace(metrics, methods=kept, origins={name: metrics.origins[name] for name in kept}))
    names = {method.name for method in read_run_results(rich_dir).method_scores(Answers.TUNED)}
    assert names == set(TUNED) - {"sar"}


def test_answers_that_nobody_judged_drop_out_of_the_scores(rich_dir: Path, predictions: list[Prediction]) -> None:
    PREDICTIONS.write(rich_dir, [replace(predictions[0], correct=None), *predictions[1:]])
    stored = scores_file("sar").read(rich_dir).scores
    (sar,) = [own for own in read_run_results(rich_dir).method_scores(Answers.TUNED) if own.name == "sar"]
    assert sar.scores == stored[1:]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("scores/sar.json", {"ids": ["other"] * 300}, "scores other questions than the tuned predictions"),
        ("scores/sar.json", {"scores": [1.0]}, "300 questions but 1 scores"),
        ("scores/sar.json", {"answers": "elsewhere"}, "holds no scores of a method"),
        ("sweep.json", {"sweeps": [{"parameter": "a", "points": [{}]}]}, "holds no sweep"),
        ("seeds.json", {"seeds": ["x"]}, "holds no summary over seeds"),
        ("costs.json", {"sar": 3}, "holds no costs by method"),
        ("metrics.json", {"n": None}, "holds no metrics of a run"),
        ("provenance.json", {"hardware": {}}, "holds no provenance of a run"),
    ],
)
def test_broken_records_are_one_clear_line(rich_dir: Path, name: str, change: dict[str, Any], message: str) -> None:
    path = rich_dir / name
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunDirectoryError, match=message) as error:
        read_run_results(rich_dir)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_tried_at_a_single_value_is_no_sweep(run_dir: Path) -> None:
    SWEEPS.write(run_dir, Sweeps((replace(SWEPT[0], points=SWEPT[0].points[:1]), SWEPT[1])))
    assert read_run_results(run_dir).sweeps == SWEPT[1:]


def test_what_is_optional_leaves_no_note(run_dir: Path) -> None:
    (run_dir / "predictions_untuned.jsonl").unlink()
    results = read_run_results(run_dir)
    assert (results.untuned, results.costs, results.sweeps, results.seeds, results.notes) == ((), {}, (), None, ())


def test_the_best_rival_is_tuned_and_no_variant_of_aspire() -> None:
    aurocs: dict[str, float | str] = {
        "aspire": 0.9,
        "aspire_alpha": 0.95,
        "sar_untuned": 0.94,
        "p_true": "none",
        "sar": 0.8,
        "perplexity": 0.7,
    }
    assert best_rival(run_metrics({name: figures(auroc) for name, auroc in aurocs.items()})) == "sar"
    assert best_rival(run_metrics({"aspire": figures(0.9)})) is None
