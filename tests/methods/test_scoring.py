"""All methods on a tiny run: what is stored is never made again, and what does not belong together is refused."""

import json
import shutil
from pathlib import Path

import pytest
from stored import lines_of, scores_of

from aspire_llm import run
from aspire_llm.commands import evaluate
from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.errors import ConfigError, RunDirectoryError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.model import Backbone
from aspire_llm.methods.scoring import resolve_methods
from aspire_llm.results.metrics import METRICS
from aspire_llm.rundir.directory import RunDirectory


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the rows of every pass of any model."""
    counted: list[int] = []
    original = Backbone.forward

    def forward(self, embeddings, **kwargs):
        counted.append(embeddings.shape[0] * embeddings.shape[1])
        return original(self, embeddings, **kwargs)

    monkeypatch.setattr(Backbone, "forward", forward)
    return counted


def test_a_third_method_generates_no_answer_again(
    config: RunConfig, unscored: Path, passes: list[int], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, unscored, methods="perplexity,predictive_entropy")
    assert (unscored / "rival_samples.jsonl").is_file()
    passes.clear()
    metrics = run(config, unscored, methods="perplexity,predictive_entropy,semantic_entropy_lexical")
    assert passes == []
    assert "semantic_entropy_lexical" in metrics.methods
    steps: list[int] = []
    original = AdaptedModel.step
    monkeypatch.setattr(AdaptedModel, "step", lambda *args: steps.append(1) or original(*args))
    run(config, unscored, methods="self_eval_prompt")
    assert passes  # it reads its own prompts
    assert steps == []  # and generates nothing
    for name in ("perplexity", "predictive_entropy", "semantic_entropy_lexical"):
        assert scores_of(unscored, name) == scores_of(finished, name)


def test_all_methods_have_figures_sources_and_costs(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    expected = {
        *("aspire", "perplexity", "sequence_log_probability", "self_evaluation", "predictive_entropy"),
        *("semantic_entropy_lexical", "self_eval_prompt", "p_true", "lexical_similarity", "sar"),
        *("hidden_state_probe", "likelihood_features", "aspire_readout", "aspire_alpha", "ensemble"),
        *("agreement_mass", "agreement_margin", "states"),
        *("perplexity_untuned", "sequence_log_probability_untuned", "predictive_entropy_untuned"),
        *("semantic_entropy_lexical_untuned", "self_eval_prompt_untuned", "p_true_untuned"),
    }
    assert set(metrics["methods"]) == expected
    assert all(figures["source"] for figures in metrics["methods"].values())
    assert any("semantic_entropy (rivals.nli_model is not set)" in note for note in metrics["notes"])
    assert any("fused (no fused score: " in note for note in metrics["notes"])
    assert set(metrics["differences"]) == {
        f"aspire - {name}" for name in expected if name != "aspire" and not name.endswith("_untuned")
    }
    costs = {
        name: json.loads((finished / "scores" / f"{name}.json").read_text())["cost"] for name in metrics["methods"]
    }
    drawn = lines_of(finished, "rival_samples.jsonl")
    timed = json.loads((finished / "provenance.json").read_text())["seconds_a_question"]
    for cost in costs.values():
        assert cost["relative"] == pytest.approx(1 + cost["seconds"] / timed["answer"])
    assert costs["aspire"]["seconds"] >= timed["self_evaluation"] > 0
    assert costs["predictive_entropy"]["seconds"] >= sum(line["seconds"] for line in drawn) / len(drawn) > 0
    assert costs["perplexity"]["generated_tokens"] == 0
    tokens = sum(len(sample["log_probs"]) for line in drawn for sample in line["samples"])
    assert costs["sar"]["generated_tokens"] == pytest.approx(tokens / len(drawn))
    assert costs["aspire"]["generated_tokens"] == 0


def test_names_are_checked_before_anything_runs(config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="unknown method 'magic'"):
        resolve_methods("magic", config)
    with pytest.raises(ConfigError, match=r"semantic_entropy: rivals.nli_model is not set"):
        resolve_methods("aspire,semantic_entropy", config)
    assert resolve_methods("perplexity", config)[0] == ["aspire", "perplexity"]


def test_a_run_without_the_untuned_model_s_answers(finished: Path, tmp_path: Path) -> None:
    """Its figures are the others', and the methods of the untuned model go, stored scores and all."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    before = METRICS.read(folder)
    lean = with_changes(RunDirectory.open(folder).config, [("rivals.untuned", False)])
    metrics = run(lean, folder)
    assert metrics.accuracy_before is None
    assert not (folder / "predictions_untuned.jsonl").exists()
    assert not [name for name in metrics.methods if name.endswith("_untuned")]
    assert all(metrics.methods[name] == before.methods[name] for name in ("aspire", "perplexity", "p_true"))
    with pytest.raises(ConfigError, match=r"p_true_untuned: rivals.untuned is not set"):
        run(lean, folder, methods="p_true_untuned")


def test_cheap_methods_of_a_finished_run_load_no_model(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("aspire_llm.run_model.load_model", refuse)
    _, metrics = evaluate(finished, methods="aspire,perplexity,sar")
    assert list(metrics.methods)[:3] == ["aspire", "perplexity", "sar"]
    assert "hidden_state_probe" in metrics.methods  # what is stored stays


def test_settings_of_rivals_may_change_and_only_what_depends_on_them_is_made_again(
    config: RunConfig, unscored: Path, passes: list[int]
) -> None:
    run(config, unscored, methods="p_true,predictive_entropy,perplexity")
    drawn = (unscored / "rival_samples.jsonl").read_bytes()
    passes.clear()
    changed = config.model_copy(update={"rivals": config.rivals.model_copy(update={"p_true_examples": 0})})
    run(changed, unscored, methods="p_true,predictive_entropy")
    assert passes  # P(True) is asked again
    assert (unscored / "rival_samples.jsonl").read_bytes() == drawn
    changed = config.model_copy(update={"rivals": config.rivals.model_copy(update={"num_samples": 2})})
    run(changed, unscored, methods="predictive_entropy")
    assert all(len(line["samples"]) == 2 for line in lines_of(unscored, "rival_samples.jsonl"))
    assert not (unscored / "scores" / "p_true.json").exists()
    with pytest.raises(RunDirectoryError, match=r"stage2.num_beams"):
        run(config.model_copy(update={"stage2": config.stage2.model_copy(update={"num_beams": 2})}), unscored)


def test_answers_to_other_questions_are_refused(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(finished, folder)
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "predictions.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="not finished"):
        evaluate(folder)
    provenance = json.loads((folder / "provenance.json").read_text())
    provenance["data"]["sha256"] = "0"
    (folder / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="the data have changed"):
        evaluate(folder)
