"""The vector of a prompt: what transformers' own hidden states give, however the prompts are batched and read."""

import pytest
import torch

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.prompt_states import states_of, watched_layer
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.records import Question

CONTEXT = "The old piano was built in Paris, and a correct answer is not a wrong one there. " * 2


def encoded(backbone: Backbone, *, examples: bool, context: bool) -> list[EncodedPrompt]:
    shown = tuple(Question(f"e{i}", f"Is it {word}?", ("Paris",)) for i, word in enumerate(["old", "built"] * examples))
    encoder = Encoder(backbone, max_answer_tokens=4, soft_tokens=0, examples=shown)
    texts = ["Where was it built?", "Where?", "Is a correct answer a wrong one there?"]
    return [
        encoder.prompt(Question(str(i), text, context=CONTEXT if context else None)) for i, text in enumerate(texts)
    ]


@torch.no_grad()
def reference(backbone: Backbone, prompt: EncodedPrompt) -> torch.Tensor:
    output = backbone.model(input_ids=torch.tensor([prompt.token_ids]), output_hidden_states=True)
    states = output.hidden_states[watched_layer(backbone) + 1][0, prompt.num_example_tokens :]
    return (states / states.norm(dim=-1, keepdim=True)).mean(0)


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("examples", [False, True])
def test_the_states_of_transformers(backbone: Backbone, examples: bool, context: bool) -> None:
    prompts = encoded(backbone, examples=examples, context=context)
    expected = torch.stack([reference(backbone, prompt) for prompt in prompts])
    model = AdaptedModel(backbone)
    for _ in range(2):  # the second time, what examples gave is known
        together = torch.from_numpy(states_of(model.read(prompts)[0]))
        torch.testing.assert_close(together, expected, atol=1e-4, rtol=1e-4)
    alone = torch.cat([torch.from_numpy(states_of(model.read([prompt])[0])) for prompt in prompts])
    torch.testing.assert_close(alone, expected, atol=1e-4, rtol=1e-4)
