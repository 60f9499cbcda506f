"""Layers whose weights lie on disk, or in memory of another device, compute what they compute in place."""

import gc
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import ARCHITECTURES, tiny_config, tiny_model
from expanded_models import expanded_model
from reference import adapted, everything, prompts_of
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from aspire_llm import SelectivePredictor, run
from aspire_llm.config import TrainingConfig
from aspire_llm.config_files import with_changes
from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.lm import placement
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter, save_adapter
from aspire_llm.lm.adapters import TASK, Adapter, new_adapter
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.placement import Placement
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.training_loop import TrainingLoop

TEXTS = ["Where?", "Who built the old piano?"]
LORA = TrainingConfig(adapter="lora", lora_rank=2)
ON_DISK = Placement("sequential", {"cpu": "1KB"})
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    return saved(tiny_model(request.param, len(tokenizer)), tokenizer, tmp_path / "model")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def saved(model: nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def shared_out(folder: Path, **shares: float) -> Placement:
    """Room for a share of a model's bytes at each place; the rest on disk."""
    size = (folder / "model.safetensors").stat().st_size
    room = {place: f"{size * share / 1000:.1f}KB" for place, share in shares.items()}
    return Placement("auto", {0 if place == "gpu" else "cpu": most for place, most in room.items()})


def partly(folder: Path) -> Placement:
    """Half of a model on disk."""
    return shared_out(folder, cpu=0.7)


def on_disk(backbone: Backbone) -> list[str]:
    return [name for name, parameter in backbone.model.named_parameters() if parameter.is_meta]


def close(ours: list[Tensor], expected: list[Tensor]) -> None:
    for own, other in zip(ours, expected, strict=True):
        assert (own - other).norm() <= 1e-4 * other.norm()


@pytest.mark.parametrize("share", ["all", "some"])
def test_what_lies_on_disk_computes_the_same(folder: Path, share: str) -> None:
    plain = load_backbone(folder, device="cpu")
    spread = load_backbone(folder, placement=ON_DISK if share == "all" else partly(folder))
    total = len(list(spread.model.parameters()))
    assert (0 < len(on_disk(spread)) < total) if share == "some" else len(on_disk(spread)) == total
    assert (spread.device, spread.dtype) == (plain.device, plain.dtype)
    assert spread.num_parameters == plain.num_parameters
    ours, expected = everything(spread), everything(plain)
    assert ours[0] == expected[0]
    close(ours[1], expected[1])
    assert on_disk(spread), "weights were brought and stayed"


@GPU
@pytest.mark.parametrize("shares", [{"gpu": 0.8, "cpu": 2}, {"gpu": 0.7, "cpu": 0.2}, {"gpu": 0.7}])
def test_what_lies_beside_a_gpu_computes_the_same(folder: Path, shares: dict[str, float]) -> None:
    """In memory, in memory and on disk, or on disk alone."""
    plain, spread = load_backbone(folder, device="cuda"), load_backbone(folder, placement=shared_out(folder, **shares))
    assert {"cuda", "meta"} == {parameter.device.type for parameter in spread.model.parameters()}
    assert (spread.device.type, spread.dtype) == ("cuda", plain.dtype)
    assert spread.num_parameters == plain.num_parameters
    ours, expected = everything(spread), everything(plain)
    assert ours[0] == expected[0]
    close(ours[1], expected[1])
    lora = [new_adapter(own, TASK, LORA, seed=0) for own in (plain, spread)]
    close(gradients(spread, lora[1]), gradients(plain, lora[0]))
    task = adapted(spread).task
    with spread.layers_recomputed():
        close(gradients(spread, task), gradients(plain, adapted(plain).task))
    assert {"cuda", "meta"} == {parameter.device.type for parameter in spread.model.parameters()}


def gradients(backbone: Backbone, adapter: Adapter) -> list[Tensor]:
    """Of stage 1's loss."""
    model, prompts = AdaptedModel(backbone, adapter), prompts_of(backbone, TEXTS)
    loss = task_loss(model, [TaskExample(prompt, (5, 6, 0)) for prompt in prompts]).sum()
    return list(torch.autograd.grad(loss, adapter.parameters()))


def test_lora_learns_on_disk_what_it_learns_in_memory(folder: Path, tmp_path: Path) -> None:
    plain, spread = load_backbone(folder, device="cpu"), load_backbone(folder, placement=ON_DISK)
    adapters = [new_adapter(own, TASK, LORA, seed=0) for own in (plain, spread)]
    assert {parameter.device.type for parameter in adapters[1].parameters()} == {"cpu"}
    with torch.no_grad():
        for own, other in zip(*(adapter.parameters() for adapter in adapters), strict=True):
            assert torch.equal(own, other)
            own += 0.1 * torch.randn(own.shape)
            other.copy_(own)
    close(gradients(spread, adapters[1]), gradients(plain, adapters[0]))
    save_adapter(adapters[1], tmp_path / "adapter")
    again = load_backbone(folder, placement=ON_DISK)
    read = load_adapter(again, TASK, tmp_path / "adapter")
    prompts = prompts_of(plain, TEXTS)
    ours, expected = (
        beam_search(AdaptedModel(own, adapter), prompts, num_beams=3, max_new_tokens=6).hypotheses
        for own, adapter in ((again, read), (plain, adapters[0]))
    )
    assert [h.token_ids for row in ours for h in row] == [h.token_ids for row in expected for h in row]


@pytest.mark.parametrize("share", ["all", "some"])
def test_recomputed_layers_are_brought_again_and_keep_their_hooks(folder: Path, share: str) -> None:
    plain = load_backbone(folder, device="cpu")
    spread = load_backbone(folder, placement=ON_DISK if share == "all" else partly(folder))
    hooked = [vars(layer).get("forward") for layer in spread.layers]
    assert share == "all" or any(hooked), "layers themselves are hooked"
    expected = gradients(plain, adapted(plain).task)
    task = adapted(spread).task
    with spread.layers_recomputed():
        close(gradients(spread, task), expected)
    assert [vars(layer).get("forward") for layer in spread.layers] == hooked
    close(gradients(spread, task), expected)


def test_branches_that_share_no_prefix(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = saved(expanded_model("bloom", len(tokenizer)), tokenizer, tmp_path / "model")
    plain, spread = load_backbone(folder, device="cpu"), load_backbone(folder, placement=ON_DISK)
    assert not plain.shares_prefixes
    ours, expected = everything(spread), everything(plain)
    assert ours[0] == expected[0]
    close(ours[1], expected[1])


def test_a_folder_for_weights_goes_with_the_model(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    plain = load_backbone(folder, device="cpu").model
    weights = plain.state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    offload = tmp_path / "offload"
    load_backbone(folder, placement=Placement("auto", {"cpu": "1GB"}, offload))
    assert not offload.exists()
    spread = load_backbone(folder, placement=Placement("auto", {"cpu": "1KB"}, offload))
    assert len(list(offload.rglob("*.safetensors"))) == len(weights)
    logits = spread.model(torch.arange(4)[None]).logits
    torch.testing.assert_close(logits, plain(torch.arange(4)[None]).logits)
    del spread, logits
    gc.collect()
    assert list(offload.iterdir()) == []


def test_a_finished_run_is_spread_at_no_cost(
    model_folder: Path, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = tiny_config("lora", model_folder, data_file), tmp_path / "run"
    run(with_changes(config, [("device", "cpu")]), folder)
    expected = SelectivePredictor.load(folder).predict(["Where was piano 7 built?"])[0]
    monkeypatch.setattr(TrainingLoop, "fit", lambda *_, **__: pytest.fail("trained again"))
    run(with_changes(config, [("device_map", "auto"), ("max_memory", {"cpu": "1KB"})]), folder)
    assert json.loads((folder / "provenance.json").read_text())["hardware"]["device"] == "cpu"
    predictor = SelectivePredictor.load(folder)
    assert on_disk(predictor.model.backbone)
    assert not on_disk(SelectivePredictor.load(folder, device="cpu").model.backbone)
    found = predictor.predict(["Where was piano 7 built?"])[0]
    assert found.scored.answer.text == expected.scored.answer.text
    assert found.scored.selection_score == pytest.approx(expected.scored.selection_score, abs=1e-4)


@GPU
def test_a_whole_run_beside_a_gpu(model_folder: Path, data_file: Path, tmp_path: Path) -> None:
    config = tiny_config("lora", model_folder, data_file)
    half = shared_out(model_folder, gpu=0.8, cpu=2)
    there = with_changes(config, [("device_map", half.device_map), ("max_memory", dict(half.max_memory))])
    for name, own in (("there", there), ("here", with_changes(config, [("device", "cuda")]))):
        run(own, tmp_path / name)
    told = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("there", "here")]
    assert told[0]["accuracy"] == told[1]["accuracy"]
    loaded = [SelectivePredictor.load(tmp_path / name) for name in ("there", "here")]
    assert "cuda" in {parameter.device.type for parameter in loaded[0].model.backbone.model.parameters()}
    there_said, here_said = (own.predict(["Where was piano 7 built?", "Where?"]) for own in loaded)
    for own, other in zip(there_said, here_said, strict=True):
        assert own.scored.answer.text == other.scored.answer.text
        assert own.scored.selection_score == pytest.approx(other.scored.selection_score, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("max_memory", {"cpu": "1GB"})], "set device_map"),
        ([("offload_folder", "here")], "set device_map"),
        ([("device_map", "auto"), ("device", "cpu")], "set one of them"),
        ([("device_map", "auto"), ("max_memory", {"cpu": "lots"})], "max_memory.cpu"),
        ([("device_map", "auto"), ("max_memory", {"disk": "1GB"})], "max_memory.disk"),
        ([("device_map", "meta")], "device_map"),
    ],
)
def test_settings_that_contradict_each_other(changes, said: str, model_folder: Path, data_file: Path) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        with_changes(tiny_config("lora", model_folder, data_file), changes)
    assert "\n" not in str(caught.value)


def test_memory_by_device_is_read_as_it_was_written(model_folder: Path, data_file: Path) -> None:
    config = with_changes(
        tiny_config("lora", model_folder, data_file),
        [("device_map", "balanced"), ("max_memory", {0: "10GiB", "cpu": "1.5GB"})],
    )
    again = with_changes(config, [])
    assert again.max_memory == {0: "10GiB", "cpu": "1.5GB"}


def test_several_processes_are_refused(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "process_count", lambda: 2)
    with pytest.raises(ModelError, match="one process"):
        load_backbone(model_folder, placement=ON_DISK)
