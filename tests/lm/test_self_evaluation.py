"""P(z_c) read from the decoding cache is that of a full forward over the whole sequence."""

import math

import pytest
import torch
from reference import encoder_of, full_forward, sequence_embeddings, soft_prompt

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.backbone import Backbone
from aspire_llm.lm.beam_search import beam_search
from aspire_llm.lm.sampling import sample_answers
from aspire_llm.lm.self_evaluation import evaluate_decoded, log_self_evaluation
from aspire_llm.records import Question

QUESTIONS = [Question("0", "Where?"), Question("1", "Where was the old piano built, and who was it that built it?")]
PAIR = (7, 11)


@torch.no_grad()
def naive_log_self_evaluation(model: AdaptedModel, prompt, answer) -> float:
    logits = full_forward(model, sequence_embeddings(model, prompt, answer, verdict=True))[-1].double()
    correct, wrong = math.exp(logits[PAIR[0]]), math.exp(logits[PAIR[1]])
    return math.log(correct / (correct + wrong))


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("decoder", ["beam", "sample"])
def test_equals_a_full_forward(backbone: Backbone, rank: int, decoder: str) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone, seed=1), soft_prompt(backbone, length=4, seed=2))
    prompts = [encoder_of(backbone).prompt(question) for question in QUESTIONS]
    if decoder == "beam":
        tokens = [
            t for h in beam_search(model, prompts, num_beams=4, max_new_tokens=6).hypotheses[0] for t in h.token_ids
        ]
        backbone.eos_token_id = max(set(tokens), key=tokens.count)  # so that some answers end and some are cut off
        decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=6)
    else:
        decoded = sample_answers(model, prompts, num_samples=4, max_new_tokens=6, temperature=1.0, seed=0)
    chosen = [hypotheses[rank] for hypotheses in decoded.hypotheses]
    ours = evaluate_decoded(model, decoded, chosen, PAIR).tolist()
    expected = [naive_log_self_evaluation(model, p, h.answer_ids) for p, h in zip(prompts, chosen, strict=True)]
    assert ours == pytest.approx(expected, abs=1e-4)


def test_the_pair_alone_counts() -> None:
    # logits 1 and 0 of the pair: 1 / (1 + e^-1) = 0.731..., whatever the third token's logit is.
    logits = torch.tensor([[1.0, 0.0, 50.0]])
    assert log_self_evaluation(logits, (0, 1)).exp().item() == pytest.approx(0.7310586)
    # Far apart, the logarithm stays finite: log sigmoid(-200) = -200.
    assert log_self_evaluation(torch.tensor([[0.0, 200.0]]), (0, 1)).item() == pytest.approx(-200.0)
