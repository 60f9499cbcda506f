"""Stage 1's loss and gradient against full forwards, one question at a time."""

import pytest
import torch
from reference import encoder_of, full_forward, sequence_embeddings, soft_prompt

from aspire_llm.errors import DataError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.model import Backbone
from aspire_llm.records import Question
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_examples, task_loss

QUESTIONS = [
    Question("0", "Where?", ("Paris", "the city of Paris")),
    Question("1", "Where was the old piano built, and by whom?", ("in a small town by the sea",)),
    Question("2", "Who?", (), answerable=False),
    Question("3", "Who built it?", ("a",)),
]


def examples_of(backbone: Backbone, questions: list[Question] = QUESTIONS) -> list[TaskExample]:
    encoder = encoder_of(backbone)
    return task_examples([encoder.prompt(question) for question in questions], encoder, backbone.eos_token_id)


def naive_loss(model: AdaptedModel, batch: list[TaskExample]) -> torch.Tensor:
    total = torch.zeros(())
    for example in batch:
        logits = full_forward(model, sequence_embeddings(model, example.prompt, example.target))
        start = logits.shape[0] - len(example.target)
        log_probs = torch.log_softmax(logits, -1)
        terms = [log_probs[start - 1 + j, token] for j, token in enumerate(example.target)]
        total = total - torch.stack(terms).mean()
    return total / len(batch)


def test_loss_and_gradient_equal_the_naive_ones(backbone: Backbone) -> None:
    ours, theirs = soft_prompt(backbone), soft_prompt(backbone)
    batch = examples_of(backbone)
    loss = task_loss(AdaptedModel(backbone, ours), batch).mean()
    loss.backward()
    expected = naive_loss(AdaptedModel(backbone, theirs), batch)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    difference = (ours.prompt_embeddings.grad - theirs.prompt_embeddings.grad).norm()
    assert difference / theirs.prompt_embeddings.grad.norm() < 1e-4


def test_the_first_reference_and_the_terminator_are_the_target(llama: Backbone) -> None:
    batch = examples_of(llama)
    assert len(batch) == 3, "the unanswerable question has nothing to learn from"
    assert batch[0].target[-1] == llama.eos_token_id
    assert llama.tokenizer.decode(batch[0].target[:-1]) == " Paris"


def test_no_reference_at_all(llama: Backbone) -> None:
    with pytest.raises(DataError, match="none of 1 training questions has a reference"):
        examples_of(llama, QUESTIONS[2:3])


def test_layers_computed_again_give_the_same_gradient(backbone: Backbone) -> None:
    kept, again = soft_prompt(backbone), soft_prompt(backbone)
    batch = examples_of(backbone)
    task_loss(AdaptedModel(backbone, kept), batch).mean().backward()
    with backbone.layers_recomputed():
        task_loss(AdaptedModel(backbone, again), batch).mean().backward()
    torch.testing.assert_close(again.prompt_embeddings.grad, kept.prompt_embeddings.grad, atol=1e-6, rtol=1e-5)
    assert all("forward" not in vars(module) for module in backbone.model.modules())


def test_recomputing_keeps_less(llama: Backbone) -> None:
    batch = examples_of(llama)

    def kept() -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            task_loss(AdaptedModel(llama, soft_prompt(llama)), batch)
        return sum(sizes)

    everything = kept()
    with llama.layers_recomputed():
        assert kept() < 0.5 * everything
