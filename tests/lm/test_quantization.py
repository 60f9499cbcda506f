"""Bases in 8 and 4 bits: what is decoded, judged and learned is what plain passes of the same weights give."""

import json
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_config, tiny_model
from reference import beams_equal_generate, full_forward, prompts_of, sequence_embeddings, set_terminator, soft_prompt
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from aspire_llm import SelectivePredictor, run
from aspire_llm.cli import main
from aspire_llm.config import TrainingConfig
from aspire_llm.config_files import with_changes
from aspire_llm.errors import ModelError, RunDirectoryError
from aspire_llm.lm import quantization
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter, save_adapter
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, Adapter, new_adapter
from aspire_llm.lm.cpu.packed_linear import Packed
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import evaluate_decoded, log_self_evaluation
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss

PAIR = (7, 11)
TEXTS = ["Where?", "Where was the old piano built, and is it correct?", "Who built the old piano?"]
TARGET = (5, 6, 7)
LORA = TrainingConfig(adapter="lora", lora_rank=2)
FORMS = [("bitsandbytes", "8bit"), ("bitsandbytes", "4bit"), ("torchao", "8bit")]
SMOOTH = [form for form in FORMS if form != ("bitsandbytes", "8bit")]  # that does not round activations


def only(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be the one package that is installed; skip where it is not."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    monkeypatch.setattr(quantization, "find_spec", lambda name: find_spec(name) if name == library else None)


@pytest.fixture
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    only(request.param[0], monkeypatch)
    return request.param


@pytest.fixture
def quantised(form: tuple[str, Any], model_folder: Path, device: str) -> Backbone:
    return load_backbone(model_folder, quantization=form[1], device=device)


def dequantised(layer: nn.Linear) -> Tensor:
    """Its weights as numbers, by the package's own function."""
    weight: Any = layer.weight
    if hasattr(weight, "quant_state"):
        return find("bitsandbytes.functional").dequantize_4bit(weight.data, weight.quant_state)
    if weight.dtype is torch.int8:
        scale = layer.state.SCB if weight.SCB is None else weight.SCB
        return weight.data * scale[:, None] / 127
    return weight.dequantize() if hasattr(weight, "dequantize") and type(weight) is not nn.Parameter else weight.data


def find(module: str) -> Any:
    return pytest.importorskip(module)


def twin(backbone: Backbone, folder: Path) -> Backbone:
    """The same numbers in plain float32 layers."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder)
    layers = dict(backbone.model.named_modules())
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            module.weight = nn.Parameter(dequantised(layers[name]).float())
    return Backbone(model.to(backbone.device), backbone.tokenizer, speed="plain")


@pytest.mark.parametrize("form", SMOOTH, indirect=True)
@torch.no_grad()
def test_answers_are_those_of_generate_and_verdicts_of_plain_passes(quantised: Backbone, model_folder: Path) -> None:
    model = AdaptedModel(quantised, soft_prompt(quantised, seed=1), soft_prompt(quantised, length=4, seed=2))
    prompts = prompts_of(quantised, TEXTS)
    set_terminator(model, prompts)
    decoded = beams_equal_generate(model, prompts)
    plain = twin(quantised, model_folder)
    chosen = [row[0] for row in decoded.hypotheses]
    for prompt, own, found in zip(prompts, chosen, evaluate_decoded(model, decoded, chosen, PAIR), strict=True):
        for reference in (AdaptedModel(plain, model.task, model.self_evaluation), model):
            logits = full_forward(reference, sequence_embeddings(model, prompt, own.token_ids))
            log_probs = torch.log_softmax(logits[-len(own.token_ids) - 1 : -1], -1)
            taught = log_probs.gather(-1, torch.tensor(own.token_ids, device=log_probs.device)[:, None])[:, 0]
            assert taught.tolist() == pytest.approx(own.token_log_probs, abs=1e-4)
            verdict = full_forward(reference, sequence_embeddings(model, prompt, own.answer_ids, verdict=True))[-1]
            assert found.item() == pytest.approx(log_self_evaluation(verdict, PAIR).item(), abs=1e-4)


@pytest.mark.parametrize("form", FORMS[:1], indirect=True)
@torch.no_grad()
def test_where_activations_are_rounded_likelihoods_are_those_of_plain_passes_nearly(quantised: Backbone) -> None:
    model, prompts = AdaptedModel(quantised, soft_prompt(quantised)), prompts_of(quantised, TEXTS)
    for prompt, row in zip(prompts, beam_search(model, prompts, num_beams=4, max_new_tokens=8).hypotheses, strict=True):
        for own in row:
            logits = full_forward(model, sequence_embeddings(model, prompt, own.token_ids))
            log_probs = torch.log_softmax(logits[-len(own.token_ids) - 1 : -1], -1)
            taught = log_probs.gather(-1, torch.tensor(own.token_ids, device=log_probs.device)[:, None])[:, 0]
            assert taught.tolist() == pytest.approx(own.token_log_probs, abs=0.1)


def losses(task: Adapter, verdict: Adapter, backbone: Backbone) -> list[Tensor]:
    """Of stages 1 and 3, and the gradients of θp and θs."""
    model, prompts = AdaptedModel(backbone, task, verdict), prompts_of(backbone, TEXTS)
    first = task_loss(model, [TaskExample(prompt, TARGET) for prompt in prompts]).sum()
    second = verdict_loss(model, PAIR, [VerdictExample(prompts[1], ((5, 6),), ((5, 8, 9), ()))]).sum()
    return [
        *(first.detach(), second.detach()),
        *torch.autograd.grad(first, task.parameters()),
        *torch.autograd.grad(second, verdict.parameters()),
    ]


def soft(backbone: Backbone, _folder: Path) -> tuple[Adapter, Adapter]:
    return soft_prompt(backbone, seed=1), soft_prompt(backbone, length=4, seed=2)


def lora(backbone: Backbone, folder: Path) -> tuple[Adapter, Adapter]:
    """With a B that is not zero, the same on every backbone."""
    adapters = []
    for name in (TASK, SELF_EVALUATION):
        if not (folder / name).exists():
            adapter = new_adapter(backbone, name, LORA, seed=0)
            assert {parameter.dtype for parameter in adapter.parameters()} == {torch.float32}
            with torch.no_grad():
                for parameter in adapter.parameters():
                    parameter += 0.05 * torch.randn(parameter.shape).to(parameter.device)
            save_adapter(adapter, folder / name)
        adapters.append(load_adapter(backbone, name, folder / name))
    for parameter in (parameter for adapter in adapters for parameter in adapter.parameters()):
        parameter.requires_grad_(True)
    return adapters[0], adapters[1]


@pytest.mark.parametrize("adapters", [soft, lora])
@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_losses_and_gradients_are_those_of_the_same_numbers_in_plain_layers(
    form: tuple[str, str], adapters: Callable[..., Any], quantised: Backbone, model_folder: Path, tmp_path: Path
) -> None:
    plain = twin(quantised, model_folder)
    with torch.no_grad():  # after which bitsandbytes has laid its weights out for inference
        quantised.model(torch.arange(8, device=quantised.device)[None])
    ours, expected = (losses(*adapters(own, tmp_path), own) for own in (quantised, plain))
    tolerance = 1e-4 if form in SMOOTH else 0.2  # activations in eight bits: .11 was seen, of the gradient of an A
    for own, other in zip(ours, expected, strict=True):
        assert other.norm() > 0
        assert (own - other).norm() <= tolerance * other.norm()


def num_bytes(tensor: Tensor) -> int:
    """What it really takes: some types say what they would take as floating-point numbers."""
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(num_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    state, scale = getattr(tensor, "quant_state", None), getattr(tensor, "SCB", None)
    return tensor.nbytes + (state.absmax.nbytes if state else 0) + (scale.nbytes if scale is not None else 0)


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_layers_take_less_memory_and_count_as_many_weights(
    form: tuple[str, str], quantised: Backbone, model_folder: Path
) -> None:
    plain = load_backbone(model_folder)
    ours, whole = (
        sum(num_bytes(p) for name, p in own.model.named_parameters() if "_proj" in name) for own in (quantised, plain)
    )
    assert ours < whole * {"8bit": 0.4, "4bit": 0.16}[form[1]]
    assert quantised.num_parameters == plain.num_parameters
    assert quantised.dtype is torch.float32
    assert not any(isinstance(module, Packed) for module in quantised.model.modules())


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_a_line_says_which_package_it_was(
    form: tuple[str, str], model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "aspire_llm"):
        load_backbone(model_folder, quantization=form[1])
    said = [record.getMessage() for record in caplog.records if form[0] in record.getMessage()]
    assert len(said) == 1


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_without_a_package_one_line_names_the_command(
    bits: str, model_folder: Path, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    arguments = ["--model", str(model_folder), "--data", str(data_file), "--output", str(tmp_path / "run")]
    assert main(["run", *arguments, "--set", f"quantization={bits}"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "pip install 'aspire-llm[quantized]'" in printed
    assert not (tmp_path / "run").exists()


def test_four_bits_take_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: name == "torchao" or None)
    assert quantization.library_for("8bit") == "torchao"
    with pytest.raises(ModelError, match="bitsandbytes"):
        quantization.library_for("4bit")


@pytest.mark.parametrize(("library", "fits"), [("torchao", False), ("bitsandbytes", True)])
def test_what_no_layer_of_is_packed_is_refused(
    library: str, fits: bool, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-2's linear layers are of a type of their own."""
    only(library, monkeypatch)
    tiny_model("gpt2", len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    if fits:
        backbone = load_backbone(tmp_path, quantization="8bit")
        assert len(new_adapter(backbone, TASK, LORA, seed=0).parameters()) == 16
        return
    with pytest.raises(ModelError, match="packs no layer of 'gpt2'"):
        load_backbone(tmp_path, quantization="8bit")


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_a_checkpoint_that_is_quantised_already(form: tuple[str, str], quantised: Backbone, tmp_path: Path) -> None:
    quantised.model.set_attn_implementation("sdpa")
    quantised.model.save_pretrained(tmp_path)
    quantised.tokenizer.save_pretrained(tmp_path)
    again = load_backbone(tmp_path, device=quantised.device.type)
    token_ids = torch.arange(8, device=quantised.device)[None]
    torch.testing.assert_close(again.model(token_ids).logits, quantised.model(token_ids).logits)
    ours, expected = (losses(*soft(own, tmp_path), own) for own in (again, quantised))
    for own, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)
    with pytest.raises(ModelError, match="quantised already"):
        load_backbone(tmp_path, quantization=form[1])


@pytest.mark.parametrize("form", FORMS[1:2], indirect=True)
@pytest.mark.parametrize("adapter", ["soft_prompt", "lora"])
def test_a_run_from_end_to_end(
    form: tuple[str, str],
    adapter: str,
    device: str,
    model_folder: Path,
    data_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, folder = tiny_config(adapter, model_folder, data_file), tmp_path / "run"
    run(with_changes(config, [("quantization", form[1]), ("device", device)]), folder)
    facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["model"]
    assert facts["quantised_by"].startswith("bitsandbytes ")
    stored = [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    found = SelectivePredictor.load(folder, device=device).predict([line["question"] for line in stored[:4]])
    assert [own.scored.selection_score for own in found] == pytest.approx(
        [line["selection_score"] for line in stored[:4]], abs=1e-4
    )
    with pytest.raises(RunDirectoryError, match="quantization"):
        run(config, folder)
    monkeypatch.setattr(quantization, "library_for", lambda bits: "torchao")
    with pytest.raises(RunDirectoryError, match="pip install bitsandbytes"):
        SelectivePredictor.load(folder)
