"""What a run will take, before it is begun."""

from pathlib import Path

import pytest
import torch
from conftest import tiny_config
from scipy.stats import binom

from aspire_llm.cli import main
from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.errors import ModelError
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.memory import PeakMemory
from aspire_llm.lm.miniature import miniature, num_layers, read_architecture
from aspire_llm.pipeline import run
from aspire_llm.planning import is_long, plan_run
from aspire_llm.planning.costs import Cost, Job
from aspire_llm.selection.risk_tests import RiskTarget


@pytest.fixture
def config(model_folder: Path, data_file: Path) -> RunConfig:
    """With LoRA; the kind of adapter tells in what is counted alone."""
    return tiny_config("lora", model_folder, data_file)


def test_a_miniature_has_the_first_layers_and_no_weight_of_the_model(config: RunConfig) -> None:
    architecture, tokenizer = read_architecture(config.model)
    whole = load_backbone(config.model)
    one, all_layers = (miniature(architecture, tokenizer, n, config) for n in (1, num_layers(architecture)))
    assert (one.num_layers, all_layers.num_layers) == (1, whole.num_layers)
    assert all_layers.num_parameters == whole.num_parameters
    assert (one.width, one.num_embeddings, one.window) == (whole.width, whole.num_embeddings, whole.window)
    token = torch.tensor([[5]], device=whole.device)
    assert not torch.equal(one.embed(token), whole.embed(token))
    assert num_layers(architecture) == whole.num_layers, "the architecture stays as it was"


def test_costs_go_on_in_a_straight_line() -> None:
    two, six = Cost(1.0, 100, 10.0), Cost(1.4, 300, 30.0)
    assert two.towards(six, depth=0.0) == two
    assert two.towards(six, depth=7.0) == Cost(pytest.approx(3.8), 1500, pytest.approx(150.0))
    assert two.towards(Cost(0.9, 50), depth=7.0).seconds == 1.0, "deeper is never cheaper"
    assert two.towards(Cost(2.0, None), depth=1.0).peak is None


@pytest.mark.parametrize("adapter", ["soft_prompt", "lora"])
def test_a_plan_counts_what_the_run_does(adapter: str, model_folder: Path, data_file: Path) -> None:
    config = tiny_config(adapter, model_folder, data_file)
    plan = plan_run(config)
    assert [stage.name for stage in plan.stages] == ["stage1", "stage2", "states", "stage3", "prediction"]
    assert plan.parameters == load_backbone(config.model).num_parameters
    assert plan.model_bytes == 4 * plan.parameters
    assert plan.seconds == pytest.approx(sum(stage.seconds for stage in plan.stages))
    assert all(stage.seconds > 0 for stage in plan.stages)
    longer = plan_run(with_changes(config, [("stage1.epochs", 40 * config.stage1.epochs)]))
    assert longer.stages[0].seconds > 8 * plan.stages[0].seconds
    without = plan_run(with_changes(config, [("stage3.enabled", False), ("score.alpha", 0), ("states.enabled", False)]))
    assert [stage.name for stage in without.stages] == ["stage1", "stage2", "prediction"]


def test_folds_are_counted(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aspire_llm.planning.plan.measure", lambda *_: {job: Cost(1.0, 100) for job in Job})
    once, folds = (plan_run(with_changes(config, [("stage2.folds", number)])) for number in (1, 2))
    assert folds.stages[0].seconds > 1.9 * once.stages[0].seconds  # two more θp, each of half of the questions


@pytest.mark.parametrize(("risk", "delta"), [(0.1, 0.05), (0.3, 0.1), (0.02, 0.01)])
def test_the_answers_that_a_promise_takes_are_the_fewest(risk: float, delta: float) -> None:
    target = RiskTarget(risk, delta)
    assert target.answers_needed(0.0) == target.fewest_answers
    needed = target.answers_needed(risk / 2)
    wrong = int(needed * risk / 2)
    assert binom.cdf(wrong, needed, risk) <= delta
    assert binom.cdf(int((needed - 1) * risk / 2), needed - 1, risk) > delta


def test_peak_memory_is_that_of_the_work() -> None:
    memory = PeakMemory(torch.device("cpu"))
    if memory.peak() is None:
        pytest.skip("this system does not tell the peak")
    torch.ones(64 * 2**20).sum()  # a quarter of a gigabyte, gone at once
    assert 250e6 < (memory.peak() or 0) < 600e6


def test_the_command_says_time_memory_and_labels(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text(config.to_yaml(), encoding="utf-8")
    assert main(["plan", str(file), "--target-risk", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "this takes about" in said
    assert "at most 10% wrong with 95% certainty takes 29 answered calibration questions" in said
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"], "nothing is run or written"
    assert main(["plan", str(file), "--model", str(tmp_path / "nowhere")]) == 2
    assert "no such model" in capsys.readouterr().err
    for setting in ("quantization=8bit", "device_map=auto"):
        assert main(["plan", str(file), "--set", "device=auto", "--set", setting]) == 2
        assert "a plan is of a plain model on one device" in capsys.readouterr().err


def test_a_long_run_says_at_its_start_what_it_takes(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path / "short")
    assert "this takes about" not in capsys.readouterr().err
    monkeypatch.setattr("aspire_llm.planning.plan._LONG", 1.0)
    run(config, tmp_path / "long")
    assert capsys.readouterr().err.count("aspire-llm: this takes about") == 1
    samples = [(tmp_path / name / "samples.jsonl").read_bytes() for name in ("short", "long")]
    assert samples[0] == samples[1], "a plan leaves nothing behind"
    run(config, tmp_path / "long")
    assert "this takes about" not in capsys.readouterr().err, "a finished run begins nothing"


def test_memory_that_runs_out_in_a_plan_ends_no_run(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_much(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("aspire_llm.planning.is_long", lambda *_: True)
    monkeypatch.setattr("aspire_llm.planning.plan.measure", too_much)
    with pytest.raises(ModelError, match="out of memory in a plan, where a run goes on with less at once"):
        plan_run(config)
    assert run(config, tmp_path / "run").n > 0
    assert "this takes about" not in capsys.readouterr().err


def test_what_is_long_is_counted_in_products(config: RunConfig) -> None:
    once = with_changes(config, [("stage1.epochs", 1), ("stage3.epochs", 1)])
    assert not is_long(once, 135_000_000, 10_000, "cpu")
    assert is_long(once, 135_000_000, 20_000, "cpu")
    assert not is_long(once, 135_000_000, 20_000, "cuda")
