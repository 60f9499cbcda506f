"""Every setting, changed on a finished run: what is made again is what the table says, and nothing old is left."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aspire_llm import run
from aspire_llm.config import RunConfig
from aspire_llm.config_files import flatten, parse_config, with_changes
from aspire_llm.errors import RunDirectoryError
from aspire_llm.methods.catalogue import score_outputs
from aspire_llm.rundir.steps import (
    DECISIONS,
    HOW,
    OUTPUTS,
    SAID,
    Output,
    as_markdown,
    changes_figures,
    stale,
    training_keys,
)
from aspire_llm.stages.training_loop import TrainingLoop

METHODS = "predictive_entropy,p_true"
FILES = (
    "samples.jsonl",
    "predictions.jsonl",
    "predictions_untuned.jsonl",
    "calibration_predictions.jsonl",
    "calibration.json",
    "metrics.json",
)
CHAT = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}assistant:"
# Another value of every key; each key of the configuration stands here, or in UNCHANGED with the reason.
CHANGES: dict[str, Any] = {
    "data.limit": 110,
    "data.max_train": 20,
    "data.num_examples": 1,
    "data.splits.train": 30,
    "data.splits.validation": 12,
    "data.splits.calibration": 24,
    "data.splits.test": 20,
    "prompts.format": "chat",
    "stage1.adapter": "lora",
    "stage1.num_soft_tokens": 3,
    "stage1.lora_rank": 1,
    "stage1.lora_alpha": 4.0,
    "stage1.learning_rate": 0.1,
    "stage1.epochs": 3,
    "stage1.batch_size": 4,
    "stage1.tokens_per_pass": 32,
    "stage1.recompute_layers": True,
    "stage1.warmup_fraction": 0.5,
    "stage1.max_grad_norm": 0.1,
    "stage1.weight_decay": 0.1,
    "stage1.patience": 1,
    "stage2.decoder": "sample",
    "stage2.num_beams": 2,
    "stage2.max_new_tokens": 4,
    "stage2.length_penalty": 1.0,
    "stage2.temperature": 0.5,
    "stage2.batch_size": 8,
    "stage2.folds": 2,
    "stage2.held_out": 0.5,
    "states.enabled": False,
    "states.num_layers": 1,
    "states.memory": 1,
    "stage3.adapter": "lora",
    "stage3.num_soft_tokens": 3,
    "stage3.lora_rank": 1,
    "stage3.lora_alpha": 4.0,
    "stage3.learning_rate": 0.1,
    "stage3.epochs": 2,
    "stage3.batch_size": 4,
    "stage3.tokens_per_pass": 64,
    "stage3.recompute_layers": True,
    "stage3.warmup_fraction": 0.5,
    "stage3.max_grad_norm": 0.1,
    "stage3.weight_decay": 0.1,
    "stage3.patience": 1,
    "stage3.learn_from": "likeliest",
    "stage3.max_correct": 0,
    "stage3.max_wrong": 1,
    "stage3.verdict_words": ["wrong", "correct"],
    "stage3.kept_prefixes": 0,
    "score.kind": "fused",
    "score.alpha": 0.9,
    "score.calibration": "isotonic",
    "score.abstain_below": 0.05,
    "score.novelty_level": 0.5,
    "score.target_risk": 0.5,
    "score.delta": 0.2,
    "rivals.untuned": False,
    "rivals.num_samples": 3,
    "rivals.temperature": 1.0,
    "correctness.measure": "exact_match",
    "correctness.train_threshold": 0.7,
    "correctness.eval_threshold": 0.7,
    "abstention.default": "No idea",
    **dict.fromkeys(
        (f"abstention.{language}" for language in ("ar", "el", "he", "hi", "ja", "ko", "ru", "th", "zh")), "?"
    ),
    "seed": 1,
    "device": "cpu",
    "device_map": "sequential",
    "dtype": "bfloat16",
    "speed": "plain",
}
UNCHANGED = {
    "sharding": "takes several processes; see tests/test_split_models.py",
    "tracking": "needs a package of its own; see tests/test_tracking.py",
    "quantization": "needs a package of its own; see tests/lm/test_quantization.py",
    "offload_folder": "takes device_map; see tests/lm/test_placement.py",
    "model": "another model is another run",
    "data.path": "other data are another run",
    "data.name": "other data are another run",
    "data.train": "other data are another run",
    "data.validation": "other data are another run; see tests/data/test_run_data.py",
    "data.calibration": "other data are another run; see tests/data/test_run_data.py",
    "data.test": "other data are another run; see tests/data/test_run_data.py",
    "stage3.enabled": "without a verdict another score must decide; see tests/test_fused_run.py",
    "score.candidates": "takes the fused score, which takes more questions; see tests/test_reranked_run.py",
    "prompts.template": "needs prompts.format: chat; see tests/lm/test_chat.py",
    "rivals.nli_model": "needs a second model; see tests/methods",
    "rivals.p_true_examples": "the tiny model's window has no room for an example; see tests/methods",
    "rivals.judge": "needs a second run; see tests/methods",
}


@pytest.fixture(scope="module")
def config(model_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    model = tmp_path_factory.mktemp("model") / "chat"
    shutil.copytree(model_folder, model)
    (model / "chat_template.jinja").write_text(CHAT, encoding="utf-8")
    training = {"num_soft_tokens": 4, "lora_rank": 2, "learning_rate": 0.3, "epochs": 1}
    return parse_config(
        {
            "model": str(model),
            "data": {"path": str(data_file), "splits": {"train": 24, "validation": 10, "calibration": 20, "test": 16}},
            "stage1": training | {"epochs": 4, "batch_size": 2},
            "stage2": {"num_beams": 3, "max_new_tokens": 5, "batch_size": 16},
            "stage3": training,
            "correctness": {"train_threshold": 0.1, "eval_threshold": 0.1},
            "rivals": {"num_samples": 2},
        }
    )


@pytest.fixture(scope="module")
def finished(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "base"
    run(config, folder, methods=METHODS)
    return folder


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and tables are made anew in every run from what is compared here."""
    for name in ("write_report", "write_tables"):
        monkeypatch.setattr(f"aspire_llm.pipeline.{name}", lambda folder: None)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the trainings from now on."""
    titles: list[str] = []
    fit = TrainingLoop.fit

    def counted(self, *args):
        titles.append(self._title)
        return fit(self, *args)

    monkeypatch.setattr(TrainingLoop, "fit", counted)
    return titles


def content(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]


def alike(a: Any, b: Any) -> bool:
    """Equal but for rounding."""
    if isinstance(a, float) and isinstance(b, float):
        return a == pytest.approx(b, abs=1e-4, rel=1e-3)  # training, and a calibration on few answers, amplify rounding
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    return bool(a == b)


def titles(output: Output, config: RunConfig) -> list[str]:
    """Of the trainings that make an output."""
    if output.step == "stage2":
        folds = config.stage2.folds
        return [f"stage 2, fold {fold + 1} of {folds}" for fold in range(folds)] if folds > 1 else []
    return [output.step.replace("stage", "stage ")]


def test_every_key_is_tried() -> None:
    keys = set(flatten(RunConfig().model_dump(mode="json")))
    assert keys == set(CHANGES) | set(UNCHANGED)


# One key of each row of the table, and of each way to be decided; the others take minutes together.
# Whose change is seen in the tiny run.
SEEN = {
    *(
        "data.max_train",
        "data.num_examples",
        "prompts.format",
        "stage1.adapter",
        "stage1.epochs",
        "stage1.tokens_per_pass",
    ),
    *("stage2.num_beams", "stage2.max_new_tokens", "stage2.batch_size", "stage3.learn_from", "stage3.verdict_words"),
    *(
        "stage2.folds",
        "states.enabled",
        "score.kind",
        "score.alpha",
        "score.abstain_below",
        "score.target_risk",
        "score.calibration",
        "correctness.measure",
        "correctness.train_threshold",
    ),
    *("correctness.eval_threshold", "rivals.num_samples", "seed", "speed"),
}
# Of which every row of the table has one or more that is tried each time.
QUICK = SEEN - {
    *("data.num_examples", "stage1.epochs", "stage1.tokens_per_pass", "stage2.max_new_tokens", "stage2.batch_size"),
    *(
        "stage2.folds",
        "prompts.format",
        "stage3.verdict_words",
        "score.calibration",
        "score.abstain_below",
        "correctness.train_threshold",
        "seed",
    ),
}


@pytest.mark.parametrize("key", [pytest.param(key, marks=() if key in QUICK else pytest.mark.slow) for key in CHANGES])
def test_a_changed_setting_leaves_what_a_fresh_run_leaves(
    key: str, config: RunConfig, finished: Path, tmp_path: Path, trainings: list[str]
) -> None:
    changed = with_changes(config, [(key, CHANGES[key])])
    resumed, fresh = tmp_path / "resumed", tmp_path / "fresh"
    shutil.copytree(finished, resumed)
    outdated = {output.name: output for output in stale([key], contexts_cut=False)}
    expected = [title for output in outdated.values() if output.trains for title in titles(output, changed)]
    assert bool(training_keys([key])) == any(output.trains for output in stale([key]))
    if training_keys([key]):
        before = {path: path.read_bytes() for path in resumed.rglob("*") if path.is_file()}
        with pytest.raises(RunDirectoryError, match=key.replace(".", r"\.")):
            run(changed, resumed, methods=METHODS)
        assert {path: path.read_bytes() for path in resumed.rglob("*") if path.is_file()} == before
    run(changed, resumed, remake=True, methods=METHODS)
    assert trainings == expected
    run(changed, fresh, methods=METHODS)
    made = [name for name in FILES if (fresh / name).exists()]
    assert made == [name for name in FILES if (resumed / name).exists()]
    for name in made:
        compare = alike if key in HOW else list.__eq__
        assert compare(content(resumed / name), content(fresh / name)), name
    if key in SEEN.difference(HOW):
        assert any(content(finished / name) != content(fresh / name) for name in made), "the key changes nothing here"
    for path in (fresh / "scores").iterdir():
        ours, theirs = content(resumed / "scores" / path.name)[0], content(path)[0]
        assert alike(ours["scores"], theirs["scores"]), path.name
    epochs = [{k: line[k] for k in ("stage", "epoch")} for line in content(resumed / "log.jsonl")]
    assert sorted(map(str, epochs)) == sorted(
        str({k: line[k] for k in ("stage", "epoch")}) for line in content(fresh / "log.jsonl")
    )


def test_what_costs_no_training_needs_no_permission(
    config: RunConfig, finished: Path, tmp_path: Path, trainings: list[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    changes = [(key, CHANGES[key]) for key in ("score.alpha", "score.abstain_below", "stage2.batch_size", "device")]
    run(with_changes(config, changes), folder)
    assert trainings == []


def test_the_table_knows_every_key_and_names_what_comes_before() -> None:
    seen: set[str] = set()
    for output in (*OUTPUTS, *score_outputs()):
        assert set(output.made_from) <= seen, output.name
        seen.add(output.name)
    for key in {*CHANGES, *UNCHANGED}:
        decides, said = (any(key == own or key.startswith(f"{own}.") for own in table) for table in (DECISIONS, SAID))
        assert (key in HOW) + said + decides + bool(stale([key], (*OUTPUTS, *score_outputs()))) == 1, key
        assert changes_figures([key]) == (key not in HOW and not said)


def test_a_context_that_fits_leaves_stage_1_alone() -> None:
    names = {output.name for output in stale(["stage3.num_soft_tokens"], contexts_cut=False)}
    assert "self_eval_adapter" in names
    assert "task_adapter" not in names
    assert "task_adapter" in {output.name for output in stale(["stage3.num_soft_tokens"], contexts_cut=True)}


def test_the_documented_table_is_the_one_in_force() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    table = as_markdown((*OUTPUTS, *score_outputs()))
    assert table in text, f"docs/configuration.md: the table of outputs should be\n{table}"
