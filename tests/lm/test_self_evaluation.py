"""P(z_c) read from the decoding cache is that of a full forward over the whole sequence."""

import math

import pytest
import torch
from reference import adapted, count_passes, encoder_of, full_forward, sequence_embeddings, soft_prompt

from aspire_llm.config import TrainingConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SELF_EVALUATION, new_adapter
from aspire_llm.lm.cache.prefix import takes_trees
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.model import Backbone
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
    model = adapted(backbone)
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


@torch.no_grad()
def test_empty_answers_alone(llama: Backbone) -> None:
    model = adapted(llama)
    prompts = [encoder_of(llama).prompt(question) for question in QUESTIONS]
    logits = model.verdict_logits(*model.read_answers(prompts, [[()], [()]]))[:, 0]
    for row, prompt in zip(logits, prompts, strict=True):
        expected = full_forward(model, sequence_embeddings(model, prompt, verdict=True))[-1]
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("as_tree", [True, False])
@torch.no_grad()
def test_answers_that_begin_alike_are_read_as_one_tree(
    backbone: Backbone, as_tree: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone.fast.takes_trees = None if as_tree else False
    model = adapted(backbone)
    prompts = [encoder_of(backbone).prompt(question) for question in QUESTIONS]
    answers = [[(5, 6, 7), (5, 6), (5, 8, 9, 9), (), (5, 6, 7)], [(9,), (10, 9)]]
    assert takes_trees(backbone) is as_tree
    passes = count_passes(monkeypatch)
    cache, branches = model.read_answers(prompts, answers)
    # "5 6 7" and "5 8 9 9" share a token: six rows.
    assert passes == [(2, max(len(p.token_ids) for p in prompts) + 5), (2, 6)]
    logits = model.verdict_logits(cache, branches)
    for i, prompt in enumerate(prompts):
        for j, answer in enumerate(answers[i]):
            expected = full_forward(model, sequence_embeddings(model, prompt, answer, verdict=True))[-1]
            torch.testing.assert_close(logits[i, j], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("adapter", ["soft_prompt", "lora"])
def test_the_end_of_the_answer_takes_no_pass_of_its_own(
    backbone: Backbone, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = new_adapter(backbone, SELF_EVALUATION, TrainingConfig(adapter=adapter, num_soft_tokens=3), seed=0)
    with torch.no_grad():
        for parameter in verdict.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    model = AdaptedModel(backbone, soft_prompt(backbone), verdict)
    prompts = [encoder_of(backbone).prompt(question) for question in QUESTIONS]
    backbone.eos_token_id = beam_search(model, prompts, num_beams=5, max_new_tokens=4).hypotheses[0][0].token_ids[2]
    decoded = beam_search(model, prompts, num_beams=5, max_new_tokens=4)
    # One answer ends by its terminator, the other by its length: its last token was never read.
    chosen = [
        next(h for h in own if h.terminated == ends)
        for own, ends in zip(decoded.hypotheses, (True, False), strict=True)
    ]
    assert [len(ids) for ids in decoded.branches_of(chosen)[1]] == [0, 1]
    passes = count_passes(monkeypatch)
    verdicts = evaluate_decoded(model, decoded, chosen, PAIR)
    # LoRA's θs must not be active while the answer's last token is read.
    assert len(passes) == (1 if adapter == "soft_prompt" else 2)
    whole, branches = model.read_answers(prompts, [[hypothesis.answer_ids] for hypothesis in chosen])
    expected = log_self_evaluation(model.verdict_logits(whole, branches), PAIR)[:, 0]
    assert verdicts.tolist() == pytest.approx(expected.tolist(), abs=1e-4)
