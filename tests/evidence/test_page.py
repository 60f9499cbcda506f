"""The page says of a task what its runs say, and of each claim whether its interval shows it."""

import math
from pathlib import Path

import numpy as np
import pytest
from report.synthetic_run import make_predictions, write_run

from aspire_llm.records import Answers, MethodScores
from aspire_llm.report.run_results import RunResults, read_run_results
from aspire_llm.selection.pooled import PooledMethods
from evidence.__main__ import main
from evidence.page import claims_table, write_page
from evidence.tasks import TASKS


@pytest.fixture
def runs(tmp_path: Path) -> list[RunResults]:
    """Two seeds of one task."""
    for seed in (0, 1):
        write_run(tmp_path / str(seed), make_predictions(300, seed))
    return [read_run_results(tmp_path / str(seed)) for seed in (0, 1)]


def test_a_task_has_its_claims_and_methods(runs: list[RunResults], tmp_path: Path) -> None:
    page = tmp_path / "evidence.md"
    write_page(page, {TASKS[0]: runs, TASKS[1]: []})
    text = page.read_text(encoding="utf-8")
    assert f"## {TASKS[0].title}" in text
    assert TASKS[1].title not in text  # it did not run, and nothing is said
    assert "600 test questions in all" in text
    aurocs = [{own.name: own for own in run.method_scores(Answers.TUNED)}["perplexity"] for run in runs]
    mean = PooledMethods([[own] for own in aurocs]).figure("perplexity", "auroc")
    assert isinstance(mean.estimate, float)
    (row,) = [line for line in text.splitlines() if line.startswith("| Perplexity |")]
    assert f"{100 * mean.estimate:.1f}" in row
    assert "The paper's score against the likelihood" in text
    shown = "| yes |" in next(line for line in text.splitlines() if line.startswith("| The paper's score against"))
    assert ("the paper's score against the likelihood." in text.splitlines()[2]) == (not shown)
    assert "fused score against" not in text  # these runs have none


@pytest.mark.parametrize(("gain", "verdict"), [(1.5, "yes"), (0.0, "no"), (-1.5, "no: the contrary is")])
def test_a_claim_is_shown_by_its_interval_alone(gain: float, verdict: str) -> None:
    rng = np.random.default_rng(0)
    correct = rng.random(400) < 0.6
    groups = tuple(f"group {i // 2}" for i in range(400))
    noise = rng.normal(size=(2, 400))
    both = [
        MethodScores(name, tuple((signal * correct + own).tolist()), tuple(correct.tolist()), groups)
        for (name, signal), own in zip((("aspire", 2.0 + gain), ("perplexity", 2.0)), noise, strict=True)
    ]
    table = claims_table(PooledMethods([both]))
    (row,) = table.rows
    assert row[-1] == verdict
    low, high = row[2].low, row[2].high
    assert (low > 0.0, high < 0.0) == (verdict == "yes", verdict.startswith("no:"))
    assert math.isfinite(low + high)


def test_every_task_has_settings_that_fit() -> None:
    for task in TASKS:
        config = task.config(2, dict.fromkeys(("squad", "squad2", "triviaqa", "gemma"), "anywhere.json"))
        assert config.seed == 2
        assert config.score.kind == ("aspire" if task.name == "examples" else "fused")
        assert (config.data.train == "anywhere.json") == (task.source is not None)
        assert (config.model == "anywhere.json") == (task.model is not None)


def test_the_curve_of_labels_is_one_table(runs: list[RunResults], tmp_path: Path) -> None:
    few = next(task for task in TASKS if task.labels == 100)
    page = tmp_path / "evidence.md"
    write_page(page, {TASKS[0]: runs, few: runs[:1]})
    lines = page.read_text(encoding="utf-8").splitlines()
    assert few.title not in "".join(lines)
    start = lines.index("## World facts with few labels")
    assert [line.split("|")[1].strip() for line in lines[start:] if line.startswith("| 1")] == ["100", "1,900"]
    assert sum(few.config(0, {}).data.splits.model_dump()[own] for own in ("train", "validation")) == few.labels


def test_the_headline_holds_the_small_model_against_the_large_one(runs: list[RunResults], tmp_path: Path) -> None:
    tasks = {task.name: task for task in TASKS}
    page = tmp_path / "evidence.md"
    write_page(page, {tasks["facts"]: runs, tasks["examples"]: runs})
    lines = page.read_text(encoding="utf-8").splitlines()
    assert "## " + tasks["examples"].title not in lines
    rows = [
        line.split("|")[2].strip()
        for line in lines[lines.index("## The headline in small") :]
        if line.startswith(("| SmolLM2", "| Gemma"))
    ]
    before = np.mean([own.correct for run in runs for own in run.untuned])
    assert rows == [f"{100 * np.mean([run.metrics.accuracy for run in runs]):.1f}", f"{100 * before:.1f}"]


def test_a_task_without_its_model_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--output", str(tmp_path), "--page", str(tmp_path / "page.md")]
    assert main(["--only", "gemma", *where]) == 0
    assert "gemma is left out: say where it is with --gemma" in capsys.readouterr().err


def test_an_unknown_task_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "facts,nothing"]) == 2
    assert "no task nothing; there are facts, squad, world, squad2," in capsys.readouterr().out
