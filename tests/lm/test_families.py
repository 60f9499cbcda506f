"""Every family that users ask for: answers are `generate`'s, verdicts and losses those of plain passes.

What the tests find stands in docs/models.md.
"""

from pathlib import Path

import pytest
import torch
from families import FAMILIES, Family
from reference import (
    adapted,
    beams_equal_generate,
    full_forward,
    prompts_of,
    sequence_embeddings,
    set_terminator,
    soft_prompt,
)
from transformers import PreTrainedTokenizerFast

from aspire_llm.config import TrainingConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter, save_adapter
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, new_adapter
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import evaluate_decoded, log_self_evaluation
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss

PAIR = (7, 11)
TEXTS = ["Where?", "Where was the old piano built, and is it correct?", "Who built the old piano?"]
PAGE = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(params=FAMILIES, ids=lambda own: own.name)
def backbone(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Backbone:
    return Backbone(request.param.model(len(tokenizer)), tokenizer)


@torch.no_grad()
def test_answers_are_those_of_generate_and_verdicts_of_plain_passes(backbone: Backbone) -> None:
    model, prompts = adapted(backbone), prompts_of(backbone, TEXTS)
    set_terminator(model, prompts)
    decoded = beams_equal_generate(model, prompts)
    for rank in (0, 3):
        chosen = [row[rank] for row in decoded.hypotheses]
        for prompt, own, found in zip(prompts, chosen, evaluate_decoded(model, decoded, chosen, PAIR), strict=True):
            logits = full_forward(model, sequence_embeddings(model, prompt, own.token_ids))
            log_probs = torch.log_softmax(logits[-len(own.token_ids) - 1 : -1], -1)
            taught = log_probs.gather(-1, torch.tensor(own.token_ids)[:, None])[:, 0]
            assert taught.tolist() == pytest.approx(own.token_log_probs, abs=1e-4)
            plain = full_forward(model, sequence_embeddings(model, prompt, own.answer_ids, verdict=True))[-1]
            assert found.item() == pytest.approx(log_self_evaluation(plain, PAIR).item(), abs=1e-4)


def test_the_loss_of_stage_1_is_that_of_plain_passes(backbone: Backbone) -> None:
    task, prompts = soft_prompt(backbone), prompts_of(backbone, TEXTS)
    model, target = AdaptedModel(backbone, task), (5, 6, 7)
    ours = task_loss(model, [TaskExample(prompt, target) for prompt in prompts])
    plain = []
    for prompt in prompts:
        logits = full_forward(model, sequence_embeddings(model, prompt, target))[-len(target) - 1 : -1]
        plain.append(torch.nn.functional.cross_entropy(logits, torch.tensor(target)))
    torch.testing.assert_close(ours, torch.stack(plain), atol=1e-4, rtol=1e-4)
    gradients = [torch.autograd.grad(loss.sum(), task.prompt_embeddings)[0] for loss in (ours, torch.stack(plain))]
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)


def test_no_lora_changes_which_expert_is_asked(backbone: Backbone) -> None:
    changed = lora_layers(backbone)
    assert {"router", "gate"}.isdisjoint(changed)
    assert len(changed) >= 3


def test_lora_changes_what_reads_text_and_states_are_those_of_its_layers(backbone: Backbone) -> None:
    """Of a model that reads images, too, the layers for these learn nothing, and show nothing."""
    prompts = prompts_of(backbone, TEXTS)
    adapter = new_adapter(backbone, TASK, TrainingConfig(adapter="lora", lora_rank=2), seed=0)
    loss = task_loss(AdaptedModel(backbone, adapter), [TaskExample(prompt, (5, 6)) for prompt in prompts]).sum()
    gradients = torch.autograd.grad(loss, adapter.parameters(), allow_unused=True)
    assert len(gradients) > 0
    assert all(gradient is not None for gradient in gradients)
    if backbone.shows_layers:
        with torch.no_grad(), backbone.layer_outputs([0, backbone.num_layers - 1]) as outputs:
            AdaptedModel(backbone).read(prompts)
        assert len(outputs) == 2


@torch.no_grad()
def test_lora_is_read_as_it_was_written(
    backbone: Backbone, request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    adapter = new_adapter(backbone, TASK, TrainingConfig(adapter="lora", lora_rank=2), seed=0)
    for parameter in adapter.parameters():
        parameter += 0.1 * torch.randn(parameter.shape)
    save_adapter(adapter, tmp_path)
    family = request.node.callspec.params["backbone"]
    again = Backbone(family.model(len(tokenizer)), tokenizer)
    ours, theirs, plain = (
        model.read(prompts_of(model.backbone, TEXTS))[2]
        for model in (
            AdaptedModel(backbone, adapter),
            AdaptedModel(again, load_adapter(again, TASK, tmp_path)),
            AdaptedModel(again),
        )
    )
    torch.testing.assert_close(ours, theirs)
    assert (ours - plain).abs().max() > 1e-3


def lora_layers(backbone: Backbone) -> list[str]:
    """What the linear layers are called that LoRA changes, in the order of a forward pass."""
    new_adapter(backbone, SELF_EVALUATION, TrainingConfig(adapter="lora", lora_rank=2), seed=0)
    names = [name for name, module in backbone.model.named_modules() if hasattr(module, "lora_A")]
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def test_the_page_says_what_was_found(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [_row(own, Backbone(own.model(len(tokenizer)), tokenizer)) for own in FAMILIES]
    assert "\n".join(rows) in PAGE.read_text(encoding="utf-8"), "\n".join(rows)


def _row(family: Family, backbone: Backbone) -> str:
    shared, states = ("yes" if own else "no" for own in (backbone.shares_prefixes, backbone.shows_layers))
    layers = ", ".join(f"`{name}`" for name in lora_layers(backbone))
    return f"| {family.name} | `{family.model_type}` | {shared} | {states} | {layers} |"
