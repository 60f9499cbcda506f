"""Likelihoods, entropies and hidden states of answers against one plain forward each."""

import numpy as np
import pytest
import torch
from reference import adapted, prompts_of, sequence_embeddings, soft_prompt

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.answer_features import answer_features, answer_states, spread_layers, verdict_states
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.read_states import Position

TEXTS = ["Who?", "Where was the old piano built, and when?"]
ANSWERS = [[(5, 6, 7), (8,)], [(9, 10), ()]]


def plain(model: AdaptedModel, embeddings: torch.Tensor):
    positions = torch.arange(embeddings.shape[1])[None]
    return model.backbone.model(
        inputs_embeds=embeddings, position_ids=positions, use_cache=False, output_hidden_states=True
    )


@torch.no_grad()
@pytest.mark.parametrize("context", [None, "The old piano was built in a small town by the sea, long before."])
def test_features_are_those_of_a_plain_forward(backbone: Backbone, context: str | None) -> None:
    model, prompts = AdaptedModel(backbone, soft_prompt(backbone)), prompts_of(backbone, TEXTS, context)
    found = answer_features(model, prompts, ANSWERS, layers=[0])
    for prompt, answers, own in zip(prompts, ANSWERS, found, strict=True):
        for ids, features in zip(answers, own, strict=True):
            output = plain(model, sequence_embeddings(model, prompt, ids))
            log_probs = torch.log_softmax(output.logits[0], -1)[-len(ids) - 1 :]
            targets = [*ids, backbone.eos_token_id]
            expected = [float(log_probs[t, token]) for t, token in enumerate(targets)]
            assert features.log_probs.tolist() == pytest.approx(expected, abs=1e-4)
            entropies = [float(-(row.exp() * row).sum()) for row in log_probs]
            assert features.entropies.tolist() == pytest.approx(entropies, abs=1e-4)
            hidden = torch.from_numpy(features.hidden[Position.LAST, 0])
            torch.testing.assert_close(hidden, output.hidden_states[1][0, -1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("context", [None, "The old piano was built in a small town by the sea, long before."])
def test_states_of_a_tree_of_answers_are_those_of_each_answer(backbone: Backbone, context: str | None) -> None:
    """Answers that begin alike, that end within another, of which one is empty and one stands twice."""
    model, prompts = AdaptedModel(backbone, soft_prompt(backbone)), prompts_of(backbone, TEXTS, context)
    answers = [[(5, 6, 7), (5, 6), (5, 8), (9,), (5, 6)], [(), (9, 10)]]
    found = answer_states(model, prompts, answers, layers=[0, 1])
    expected = answer_features(model, prompts, answers, layers=[0, 1])
    for own, its, ids in zip(found, expected, answers, strict=True):
        assert own.shape[:3] == (len(ids), len(Position), 2)
        np.testing.assert_allclose(own, np.stack([answer.hidden for answer in its]), atol=1e-4, rtol=1e-4)


def test_states_of_only_empty_answers_are_the_prompt_s(llama: Backbone) -> None:
    model, prompts = AdaptedModel(llama), prompts_of(llama, TEXTS)
    for own in answer_states(model, prompts, [[()], [()]], layers=[1]):
        np.testing.assert_array_equal(own[0, Position.LAST], own[0, Position.PROMPT])


@torch.no_grad()
def test_verdict_states_are_those_of_the_last_soft_token(llama: Backbone) -> None:
    model, prompts = adapted(llama), prompts_of(llama, TEXTS)
    found = verdict_states(model, prompts, ANSWERS)
    # The last entry of hidden_states is normalised, so the last layer's own output is taken by a hook.
    outputs: list[torch.Tensor] = []
    llama.model.model.layers[-1].register_forward_hook(
        lambda module, arguments, output: outputs.append(output[0] if isinstance(output, tuple) else output)
    )
    for i, prompt in enumerate(prompts):
        for j, ids in enumerate(ANSWERS[i]):
            plain(model, sequence_embeddings(model, prompt, ids, verdict=True))
            torch.testing.assert_close(found[i, j], outputs[-1][0, -1], atol=1e-4, rtol=1e-4)


def test_only_empty_answers(llama: Backbone) -> None:
    (own,) = answer_features(AdaptedModel(llama), prompts_of(llama, TEXTS)[:1], [[()]], layers=[1])
    assert len(own[0].log_probs) == 1


def test_layers_are_spread_and_end_with_the_last() -> None:
    assert spread_layers(2) == [0, 1]
    assert spread_layers(12) == [1, 2, 3, 5, 7, 8, 9, 11]
    assert spread_layers(6, most=2) == [2, 5]
