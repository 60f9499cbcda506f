"""The whole pipeline on a tiny random model: what it leaves behind, what it must not change."""

import json
from pathlib import Path

import pytest
import torch
from stored import given

from aspire_llm import SelectivePredictor, run
from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config, with_changes
from aspire_llm.errors import DataError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter
from aspire_llm.lm.adapters import TASK
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.loading import load_backbone
from aspire_llm.pipeline import Pipeline
from aspire_llm.records import Question, Split
from aspire_llm.run_loading import decode_likeliest
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.own import MARKER, not_ours


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


RESULTS = [
    "samples.jsonl",
    "calibration_predictions.jsonl",
    "predictions.jsonl",
    "predictions_untuned.jsonl",
    "metrics.json",
]


def test_a_run_leaves_what_the_design_says(finished: Path, config: RunConfig) -> None:
    files = {path.name for path in finished.iterdir()}
    assert files == {
        *RESULTS,
        *(
            "config.yaml",
            "calibration.json",
            "novelty.safetensors",
            "states.safetensors",
            "report.html",
            "log.jsonl",
            "provenance.json",
        ),
        *("task_adapter", "self_eval_adapter", "scores", "tables", "costs.json", "few_shot.json", MARKER),
    }
    assert not_ours(finished) == []
    samples = lines(finished / "samples.jsonl")
    assert len(samples) == 50
    for sample in samples:
        assert len(sample["answers"]) == 3
        totals = [answer["log_likelihood"] * answer["num_tokens"] for answer in sample["answers"]]
        assert totals == sorted(totals, reverse=True)
    predictions = lines(finished / "predictions.jsonl")
    assert len(predictions) == 30
    alpha = config.score.alpha
    for line in predictions:
        expected = (1 - alpha) * line["log_likelihood"] + alpha * line["log_self_eval"]
        assert line["selection_score"] == pytest.approx(expected)
        assert line["correct"] == (line["rouge_l"] > 0.7)
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["n"] == 30
    assert metrics["accuracy"] == sum(line["correct"] for line in predictions) / 30
    likelihoods = {"perplexity", "sequence_log_probability", "agreement_mass", "perplexity_untuned"}
    assert {"aspire", "self_evaluation", *likelihoods} == set(metrics["methods"]) - {"states"}
    if "states" not in metrics["methods"]:  # too few of the sampled answers are right
        assert any(note.startswith("Left out: states") for note in metrics["notes"])


def test_the_frozen_weights_are_bit_identical_after_training(config: RunConfig, tmp_path: Path) -> None:
    few = with_changes(config, [("data.splits", {"train": 8, "validation": 4, "calibration": 4, "test": 4})])
    directory = RunDirectory.plan(tmp_path / "run", few)
    pipeline = Pipeline(directory)
    pipeline.begin()
    before = load_backbone(config.model).model.state_dict()
    pipeline.run()
    after = pipeline.model.backbone.model.state_dict()
    for name, tensor in before.items():
        same = [key for key in after if key.replace(".base_layer", "") == name]
        assert len(same) == 1
        assert torch.equal(after[same[0]], tensor), name


def test_stage_3_changes_no_prediction(finished: Path, config: RunConfig) -> None:
    """Answers and likelihoods of θ + θp alone are those that the finished run predicts, to the last bit."""
    used = Pipeline(RunDirectory.open(finished)).model
    model = AdaptedModel(used.backbone, load_adapter(used.backbone, TASK, finished / "task_adapter"))
    test = used.prompts[Split.TEST]
    size = 4 * config.stage2.batch_size
    before = []
    for start in range(0, len(test), size):
        part = test[start : start + size]

        def answered(indices: list[int], part=part):
            decoded = decode_likeliest(model, [part[i] for i in indices], config)
            return [used.encoder.sampled_answer(hypotheses[0]) for hypotheses in decoded.hypotheses]

        before += by_length([len(prompt.token_ids) for prompt in part], config.stage2.batch_size, answered)
    after = lines(finished / "predictions.jsonl")
    assert [(a.text, a.log_likelihood) for a in before] == [(given(line), line["log_likelihood"]) for line in after]


def test_few_shot_examples_stand_before_every_question_also_after_loading(
    model_folder: Path, data_file: Path, tmp_path: Path
) -> None:
    training = {"num_soft_tokens": 4, "epochs": 1}
    settings = {
        "model": str(model_folder),
        "data": {
            "path": str(data_file),
            "num_examples": 2,
            "splits": {"train": 20, "validation": 10, "calibration": 10, "test": 10},
        },
        "stage1": training,
        "stage2": {"num_beams": 2, "max_new_tokens": 4},
        "stage3": training,
    }
    run(parse_config(settings), tmp_path / "run")
    (first, second) = json.loads((tmp_path / "run" / "few_shot.json").read_text())
    trained_on = {line["id"] for line in lines(tmp_path / "run" / "samples.jsonl")}
    assert len(trained_on) == 28
    assert not {first["id"], second["id"]} & trained_on
    untuned = Pipeline(RunDirectory.open(tmp_path / "run")).model.untuned
    own, other = untuned.terminators  # the model's, and what ends the answers of the examples
    assert own == untuned.backbone.eos_token_id
    assert untuned.backbone.tokenizer.decode([other]).startswith("\n")
    predictor = SelectivePredictor.load(tmp_path / "run")
    line = lines(tmp_path / "run" / "predictions.jsonl")[0]
    text = predictor.encoder.prompt(Question("x", line["question"])).text
    shown = "".join(f"Q: {own['question']}\nA: {own['references'][0]}\n\n" for own in (first, second))
    assert text == f"{shown}Q: {line['question']}\nA:"
    (prediction,) = predictor.predict([Question(line["id"], line["question"])])
    assert prediction.scored.answer.text == given(line)
    assert prediction.scored.selection_score == pytest.approx(line["selection_score"], abs=1e-4)
    settings["data"]["num_examples"] = 20
    with pytest.raises(DataError, match=r"data.num_examples is 20"):
        run(parse_config(settings), tmp_path / "other")
