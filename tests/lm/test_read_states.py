"""States taken while decoding are those of a plain forward, and those of the answers read once more."""

import pytest
import torch
from conftest import SPEEDS, tiny_model
from expanded_models import EXPANDED, expanded_model
from reference import prompts_of, sequence_embeddings, set_terminator, soft_prompt
from transformers import PreTrainedTokenizerFast

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.answer_features import answer_states
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.read_states import Position, StateRecorder

TEXTS = ["Who?", "Where was the old piano built, and when?", "What?"]
CONTEXT = "The old piano was built in a small town by the sea, long before."
LAYERS = [1, 0]


def searched(model: AdaptedModel, context: str | None):
    """Beams of which some end soon, some later and some not at all, so that the search narrows; and their states."""
    backbone, prompts = model.backbone, prompts_of(model.backbone, TEXTS, context)
    set_terminator(model, prompts)
    recorder = StateRecorder(backbone, LAYERS)
    return prompts, beam_search(model, prompts, num_beams=4, max_new_tokens=6, states=recorder), recorder


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("context", [None, CONTEXT])
@torch.no_grad()
def test_states_of_decoding_are_those_of_a_plain_forward(backbone: Backbone, context: str | None) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone))
    prompts, decoded, recorder = searched(model, context)
    lengths = set()
    for i, prompt in enumerate(prompts):
        for own in decoded.hypotheses[i]:
            read = own.answer_ids if own.terminated else own.answer_ids[:-1]
            lengths.add(len(read))
            with backbone.layer_outputs() as outputs:
                embeddings = sequence_embeddings(model, prompt, read)
                positions = torch.arange(embeddings.shape[1])[None]
                backbone.model(inputs_embeds=embeddings, position_ids=positions, use_cache=False)
            states = torch.stack([outputs[layer][0] for layer in sorted(LAYERS)], dim=1)  # [tokens, layers, d]
            answer = states[len(states) - len(read) :]
            found = recorder.states(i, own.rows)
            ends_with = {
                Position.LAST: states[-1],
                Position.MEAN: answer.mean(0) if len(read) else states[-1],
                Position.PROMPT: states[len(states) - len(read) - 1],
            }
            for position, expected in ends_with.items():
                torch.testing.assert_close(found[position], expected, atol=1e-4, rtol=1e-4)
    assert len(lengths) > 1


@pytest.mark.parametrize("architecture", ["llama", *EXPANDED])
@torch.no_grad()
def test_states_of_decoding_are_those_of_reading_the_answers(
    architecture: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    make = expanded_model if architecture in EXPANDED else tiny_model
    backbone = Backbone(make(architecture, len(tokenizer)), tokenizer)
    model = AdaptedModel(backbone, soft_prompt(backbone))
    prompts, decoded, recorder = searched(model, None)
    answers = [[own.answer_ids if own.terminated else own.answer_ids[:-1] for own in d] for d in decoded.hypotheses]
    read = answer_states(model, prompts, answers, layers=sorted(LAYERS))
    for i, hypotheses in enumerate(decoded.hypotheses):
        for own, states in zip(hypotheses, read[i], strict=True):
            torch.testing.assert_close(recorder.states(i, own.rows), torch.from_numpy(states), atol=1e-4, rtol=1e-4)


def test_nothing_is_watched_where_nothing_is_asked_for(llama: Backbone) -> None:
    decoded = beam_search(AdaptedModel(llama), prompts_of(llama, TEXTS[:1]), num_beams=2, max_new_tokens=3)
    assert all(own.rows == () for own in decoded.hypotheses[0])
