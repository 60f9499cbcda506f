"""Several seeds and sweeps of a tiny run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aspire_llm import run
from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config
from aspire_llm.errors import ConfigError, RunDirectoryError
from aspire_llm.results.metrics import METRICS
from aspire_llm.studies import run_seeds, sweep


@pytest.fixture(scope="module")
def config(model_folder: Path, data_file: Path) -> RunConfig:
    training = {"num_soft_tokens": 4, "learning_rate": 0.3, "epochs": 2}
    return parse_config(
        {
            "model": str(model_folder),
            "data": {"path": str(data_file), "splits": {"train": 24, "validation": 6, "calibration": 20, "test": 12}},
            "stage1": training,
            "stage2": {"num_beams": 3, "max_new_tokens": 4},
            "stage3": training | {"epochs": 1},
            "correctness": {"eval_threshold": 0.1},
        }
    )


@pytest.fixture(scope="module")
def finished(config: RunConfig, run_of: Callable[[RunConfig], Path]) -> Path:
    return run_of(config)


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_seeds_are_runs_of_their_own_and_one_summary(config: RunConfig, finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    run_seeds(config, output, 2)
    summary = read(output / "seeds.json")
    assert summary["seeds"] == [0, 1]
    alone = run(config.model_copy(update={"seed": 1}), tmp_path / "alone")
    assert METRICS.read(output / "seeds" / "1") == alone
    values = [read(output / "metrics.json")["accuracy"], alone.accuracy]
    assert summary["methods"]["aspire"]["accuracy"]["values"] == values
    assert (output / "tables" / "differences.csv").is_file()


def test_seeds_that_end_beyond_the_last_are_refused_before_the_first_run(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'seed': got {2**63};"):
        run_seeds(config.model_copy(update={"seed": 2**63 - 2}), tmp_path / "run", 3)
    assert not (tmp_path / "run").exists()


def test_a_sweep_repeats_what_a_setting_changes(finished: Path, tmp_path: Path) -> None:
    base = tmp_path / "run"
    shutil.copytree(finished, base)
    metrics = METRICS.read(base)
    path = sweep(
        base,
        [
            "score.alpha=0,0.25",
            "correctness.train_threshold=0.9,0.0",
            "stage2.num_beams=2",
            "data.max_train=12",
        ],
    )
    by_key = {each["parameter"]: each["points"] for each in read(path)["sweeps"]}
    alpha_0, alpha_default = (point["methods"]["aspire"] for point in by_key["score.alpha"])
    assert alpha_0["auacc"] == pytest.approx(metrics.methods["perplexity"].auacc)
    assert alpha_default["auacc"] == pytest.approx(metrics.methods["aspire"].auacc)
    same, lenient = (point["methods"] for point in by_key["correctness.train_threshold"])
    assert same["aspire"]["auacc"] == pytest.approx(metrics.methods["aspire"].auacc)
    assert lenient["perplexity"]["auacc"] == pytest.approx(metrics.methods["perplexity"].auacc)
    relabelled = (base / "sweeps" / "correctness.train_threshold=0.0" / "samples.jsonl").read_text(encoding="utf-8")
    judged = [answer for line in relabelled.splitlines() for answer in json.loads(line)["answers"]]
    assert all(answer["correct"] == (answer["rouge_l"] > 0) for answer in judged)
    fewer = (base / "sweeps" / "stage2.num_beams=2" / "samples.jsonl").read_text(encoding="utf-8")
    assert all(len(json.loads(line)["answers"]) == 2 for line in fewer.splitlines())
    assert len((base / "sweeps" / "data.max_train=12" / "samples.jsonl").read_text().splitlines()) == 18
    assert "sweep" in (base / "report.html").read_text(encoding="utf-8").lower()


def test_what_cannot_be_swept_is_refused_before_anything_runs(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError):
        sweep(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"the nearest known key is 'score.alpha'"):
        sweep(finished, ["score.alpha=0", "score.alfa=0,1"])
    assert not (finished / "sweeps").exists()
