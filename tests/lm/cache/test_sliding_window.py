"""Prompts longer than a model's sliding window: the shared prefix under each layer's own mask."""

import logging
import math

import pytest
import torch
from reference import (
    adapted,
    count_passes,
    full_forward,
    generate,
    prompts_of,
    sequence_embeddings,
    set_terminator,
)
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.answer_features import answer_features
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss

SLIDING = ["mistral", "gemma2", "gemma3", "qwen2"]
WINDOW = 16
PAIR = (7, 11)
TEXTS = [
    "Where?",
    "Where was the old piano built, and is it correct that it was never played, not once?",
    "Who built it?",
]


@pytest.fixture(params=SLIDING)
def sliding(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Backbone:
    """Uniformly sliding (Mistral), every other layer, and the layers from one on (Qwen 2)."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    common = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, **sizes}
    common |= {"initializer_range": 0.3, "sliding_window": WINDOW, "max_position_embeddings": 256}
    mixed = {"layer_types": ["sliding_attention", "full_attention"], "head_dim": 8}
    config = {
        "mistral": lambda: MistralConfig(num_hidden_layers=2, **common),
        "gemma2": lambda: Gemma2Config(num_hidden_layers=2, **mixed, **common),
        "gemma3": lambda: Gemma3TextConfig(num_hidden_layers=2, **mixed, **common),
        "qwen2": lambda: Qwen2Config(num_hidden_layers=3, use_sliding_window=True, max_window_layers=1, **common),
    }[request.param]()
    return Backbone(AutoModelForCausalLM.from_config(config), tokenizer)


@pytest.mark.parametrize("context", [None, "The old piano was built in a small town by the sea, long before the war."])
def test_beams_equal_generate_and_verdicts_a_full_forward(
    sliding: Backbone, context: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompts = adapted(sliding), prompts_of(sliding, TEXTS, context)
    assert max(len(prompt.token_ids) for prompt in prompts) > WINDOW
    set_terminator(model, prompts)
    passes = count_passes(monkeypatch)
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=20)
    assert (passes[0][0] == 1) == (context is not None), "a shared context is read once"
    theirs = generate(model, prompts, num_beams=4, max_new_tokens=20, length_penalty=0.0)
    for ours, expected in zip(decoded.hypotheses, theirs, strict=True):
        assert [h.token_ids for h in ours] == [sequence for sequence, _ in expected]
        assert [sum(h.token_log_probs) for h in ours] == pytest.approx([score for _, score in expected], abs=1e-4)
    chosen = [row[0] for row in decoded.hypotheses]
    verdicts = evaluate_decoded(model, decoded, chosen, PAIR).tolist()
    for prompt, hypothesis, verdict in zip(prompts, chosen, verdicts, strict=True):
        with torch.no_grad():
            embeddings = sequence_embeddings(model, prompt, hypothesis.answer_ids, verdict=True)
            logits = full_forward(model, embeddings)[-1].double()
        correct, wrong = math.exp(logits[PAIR[0]]), math.exp(logits[PAIR[1]])
        assert verdict == pytest.approx(math.log(correct / (correct + wrong)), abs=1e-4)


def answer_log_probs(model: AdaptedModel, prompt, answer) -> Tensor:
    logits = full_forward(model, sequence_embeddings(model, prompt, answer))[-len(answer) - 1 : -1]
    return torch.log_softmax(logits, -1).gather(-1, torch.tensor(answer)[:, None])[:, 0]


def test_gradients_and_likelihoods_equal_full_forwards(sliding: Backbone) -> None:
    model, reference = adapted(sliding), adapted(sliding)
    prompts = prompts_of(sliding, TEXTS)
    batch = [TaskExample(p, y) for p, y in zip(prompts, [(5, 6, 0), (7, 0), (8,)], strict=True)]
    task_loss(model, batch).mean().backward()
    (-torch.stack([answer_log_probs(reference, e.prompt, e.target).mean() for e in batch]).mean()).backward()
    ours, theirs = model.task.parameters()[0].grad, reference.task.parameters()[0].grad
    assert (ours - theirs).norm() / theirs.norm() < 1e-4
    answers = [[(5, 6, 7), (8,)], [(9,), (10, 11)], [(), (12,) * 20]]
    cache, branches = model.read_answers(prompts, answers)
    model.verdict_logits(cache, branches)[..., 5].sum().backward()
    rows = [(p, ids) for p, own in zip(prompts, answers, strict=True) for ids in own]
    sum(full_forward(reference, sequence_embeddings(reference, *row, verdict=True))[-1, 5] for row in rows).backward()
    ours, theirs = model.self_evaluation.parameters()[0].grad, reference.self_evaluation.parameters()[0].grad
    assert (ours - theirs).norm() / theirs.norm() < 1e-4
    with torch.no_grad():
        features = answer_features(model, prompts, answers, layers=[0])
        for prompt, ids, found in zip(*zip(*rows, strict=True), sum(features, []), strict=True):  # noqa: RUF017
            expected = answer_log_probs(model, prompt, (*ids, sliding.eos_token_id)).tolist()
            assert found.log_probs.tolist() == pytest.approx(expected, abs=1e-4)
        decoded = sample_answers(model, prompts, num_samples=3, max_new_tokens=6, temperature=0.7, seed=2)
        for prompt, own in zip(prompts, decoded.hypotheses, strict=True):
            for h in own:
                expected = answer_log_probs(model, prompt, h.token_ids).tolist()
                assert h.token_log_probs == pytest.approx(expected, abs=1e-4)


def test_it_is_said_once_and_the_context_is_not_cut(sliding: Backbone, caplog: pytest.LogCaptureFixture) -> None:
    prompts = prompts_of(sliding, TEXTS, "The old piano was built in a small town by the sea.")
    assert not any(prompt.is_cut for prompt in prompts)
    with caplog.at_level(logging.WARNING, logger="aspire_llm"):
        for _ in range(2):
            beam_search(AdaptedModel(sliding), prompts, num_beams=2, max_new_tokens=3)
    assert caplog.text.count("beyond the sliding window of 16") == 1
