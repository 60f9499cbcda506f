"""Models whose branches share no prefix: what `generate` and plain forwards of whole sequences give."""

import math

import pytest
import torch
from expanded_models import EXPANDED, expanded_model
from reference import adapted, beams_equal_generate, prompts_of, sequence_embeddings, set_terminator
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from aspire_llm.config import TrainingConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, new_adapter
from aspire_llm.lm.answer_features import answer_features, verdict_states
from aspire_llm.lm.cache.expanded import ExpandedCache
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.kept_prefixes import KeptPrefixes
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.read_states import Position
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss

PAIR = (7, 11)
TEXTS = ["Where?", "Where was the old piano built, and is it correct?", "Who built the old piano?"]


@pytest.fixture(params=EXPANDED)
def expanded(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Backbone:
    return Backbone(expanded_model(request.param, len(tokenizer)), tokenizer)


def plain(model: AdaptedModel, prompt, answer=(), *, verdict: bool = False) -> Tensor:
    """Logits of one whole sequence, `[T, V]`, with nothing but its embeddings given to the model."""
    embeddings = sequence_embeddings(model, prompt, answer, verdict=verdict)
    return model.backbone.model(inputs_embeds=embeddings, use_cache=False).logits[0]


def plain_log_probs(model: AdaptedModel, prompt, answer) -> Tensor:
    """log f of each token of an answer, `[|y|]`."""
    log_probs = torch.log_softmax(plain(model, prompt, answer), -1)[-len(answer) - 1 : -1]
    return log_probs.gather(-1, torch.tensor(answer)[:, None])[:, 0]


def test_beams_equal_generate_and_verdicts_a_plain_forward(expanded: Backbone) -> None:
    model, prompts = adapted(expanded), prompts_of(expanded, TEXTS)
    set_terminator(model, prompts)
    decoded = beams_equal_generate(model, prompts)
    with torch.no_grad():
        for rank in (0, 3):
            chosen = [row[rank] for row in decoded.hypotheses]
            for prompt, h in zip(prompts, chosen, strict=True):
                own = plain_log_probs(model, prompt, h.token_ids).tolist()
                assert own == pytest.approx(h.token_log_probs, abs=1e-4)
            verdicts = evaluate_decoded(model, decoded, chosen, PAIR).tolist()
            expected = [plain_log_self_evaluation(model, p, h) for p, h in zip(prompts, chosen, strict=True)]
            assert verdicts == pytest.approx(expected, abs=1e-4)


def plain_log_self_evaluation(model: AdaptedModel, prompt, hypothesis) -> float:
    logits = plain(model, prompt, hypothesis.answer_ids, verdict=True)[-1].double()
    correct, wrong = math.exp(logits[PAIR[0]]), math.exp(logits[PAIR[1]])
    return math.log(correct / (correct + wrong))


@pytest.mark.parametrize("architecture", ["bloom", "lfm2"])
def test_settled_questions_leave_the_batch(
    architecture: str, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = Backbone(expanded_model(architecture, len(tokenizer)), tokenizer)
    model, sizes = adapted(backbone), []
    prompts = prompts_of(backbone, [*TEXTS, *(f"Who played piano {i}?" for i in range(3))])
    select = ExpandedCache.select
    monkeypatch.setattr(
        ExpandedCache, "select", lambda cache, rows, room=0: sizes.append(len(rows)) or select(cache, rows)
    )
    rows = beam_search(model, prompts, num_beams=2, max_new_tokens=12).hypotheses
    for terminator in sorted({token for row in rows for h in row for token in h.token_ids}):
        backbone.eos_token_id = terminator
        together = beam_search(model, prompts, num_beams=2, max_new_tokens=12)
        if sizes:
            break
    assert sizes, "no question settled before the others: the test would show nothing"
    alone = [beam_search(model, [prompt], num_beams=2, max_new_tokens=12) for prompt in prompts]
    assert [[h.token_ids for h in row] for row in together.hypotheses] == [
        [h.token_ids for h in one.hypotheses[0]] for one in alone
    ]


def test_steps_go_on_for_some_questions_and_crossed_branches(expanded: Backbone) -> None:
    """Two branches of three questions, two questions alone in another order, their branches crossed, and look-ahead."""
    model, prompts = adapted(expanded), prompts_of(expanded, TEXTS)
    cache, branches, _ = model.read(prompts)
    branches = branches.select(torch.zeros(3, 2, dtype=torch.long))
    _, branches = model.step(cache, branches, torch.tensor([[5, 6], [7, 8], [9, 10]]))
    kept = torch.tensor([2, 0])
    some, branches = cache.select(kept), branches.of_questions(kept).select(torch.tensor([[1, 1], [1, 0]]))
    logits, branches = model.step(some, branches, torch.tensor([[11, 12], [13, 14]]))
    read = [[(10, 11), (10, 12)], [(6, 13), (5, 14)]]
    verdicts = model.verdict_logits(some, branches)
    for i, question in enumerate(kept):
        for j, ids in enumerate(read[i]):
            expected = plain(model, prompts[question], ids)[-1]
            torch.testing.assert_close(logits[i, j], expected, atol=1e-4, rtol=1e-4)
            expected = plain(model, prompts[question], ids, verdict=True)[-1]
            torch.testing.assert_close(verdicts[i, j], expected, atol=1e-4, rtol=1e-4)


def test_samples_have_the_model_s_own_likelihoods(expanded: Backbone) -> None:
    model, prompts = adapted(expanded), prompts_of(expanded, TEXTS)
    decoded = sample_answers(model, prompts, num_samples=3, max_new_tokens=6, temperature=0.7, seed=2)
    with torch.no_grad():
        for prompt, row in zip(prompts, decoded.hypotheses, strict=True):
            for h in row:
                own = plain_log_probs(model, prompt, h.token_ids).tolist()
                assert own == pytest.approx(h.token_log_probs, abs=1e-4)


def examples(backbone: Backbone) -> list[VerdictExample]:
    first, second, _ = prompts_of(backbone, TEXTS)
    return [VerdictExample(first, ((5, 6, 7), (8,)), ((9,),)), VerdictExample(second, ((5,),), ((12, 13), ()))]


def plain_verdict_loss(model: AdaptedModel, batch: list[VerdictExample]) -> Tensor:
    total = torch.zeros(())
    for example in batch:
        for answers, verdict in ((example.correct, PAIR[0]), (example.wrong, PAIR[1])):
            losses = [-torch.log_softmax(plain(model, example.prompt, a, verdict=True)[-1], -1) for a in answers]
            total = total + torch.stack([loss[verdict] for loss in losses]).mean()
    return total / len(batch)


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def test_losses_and_gradients_equal_plain_ones(expanded: Backbone) -> None:
    model, reference = adapted(expanded), adapted(expanded)
    batch = [TaskExample(p, y) for p, y in zip(prompts_of(expanded, TEXTS), [(5, 6, 0), (7, 0), (8,)], strict=True)]
    loss = task_loss(model, batch).mean()
    expected = -torch.stack([plain_log_probs(reference, e.prompt, e.target).mean() for e in batch]).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    (ours,) = torch.autograd.grad(loss, model.task.parameters())
    (theirs,) = torch.autograd.grad(expected, reference.task.parameters())
    assert relative_difference(ours, theirs) < 1e-4
    loss = verdict_loss(model, PAIR, examples(expanded), read=KeptPrefixes(expanded).read).mean()
    expected = plain_verdict_loss(reference, examples(expanded))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    expected.backward()
    assert model.task.parameters()[0].grad is None
    ours, theirs = model.self_evaluation.parameters()[0].grad, reference.self_evaluation.parameters()[0].grad
    assert relative_difference(ours, theirs) < 1e-4


def test_features_are_those_of_a_plain_forward(expanded: Backbone) -> None:
    model, prompts = adapted(expanded), prompts_of(expanded, TEXTS)[:2]
    answers = [[(5, 6, 7), (8,)], [(9, 10), ()]]
    found = answer_features(model, prompts, answers, layers=[0])
    states = verdict_states(model, prompts, answers)
    with torch.no_grad():
        for i, prompt in enumerate(prompts):
            for j, ids in enumerate(answers[i]):
                log_probs = plain_log_probs(model, prompt, (*ids, expanded.eos_token_id)).tolist()
                assert found[i][j].log_probs.tolist() == pytest.approx(log_probs, abs=1e-4)
                with expanded.layer_outputs() as outputs:
                    plain(model, prompt, ids)
                    plain(model, prompt, ids, verdict=True)
                hidden = torch.from_numpy(found[i][j].hidden[Position.LAST, 0])
                torch.testing.assert_close(hidden, outputs[0][0, -1], atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(states[i, j], outputs[-1][0, -1], atol=1e-4, rtol=1e-4)


def test_layers_computed_again_give_the_same_gradient(expanded: Backbone) -> None:
    model, batch = adapted(expanded), [TaskExample(p, (5, 6)) for p in prompts_of(expanded, TEXTS)]
    (kept,) = torch.autograd.grad(task_loss(model, batch).mean(), model.task.parameters())
    with expanded.layers_recomputed():
        (again,) = torch.autograd.grad(task_loss(model, batch).mean(), model.task.parameters())
    torch.testing.assert_close(again, kept, atol=1e-6, rtol=1e-5)


def test_self_evaluation_changes_no_prediction(expanded: Backbone) -> None:
    model, prompts = adapted(expanded), prompts_of(expanded, TEXTS)
    before = beam_search(AdaptedModel(expanded, model.task), prompts, num_beams=3, max_new_tokens=5).hypotheses
    verdict_loss(model, PAIR, examples(expanded)).mean().backward()
    torch.optim.AdamW(model.self_evaluation.parameters(), lr=1.0).step()
    after = beam_search(model, prompts, num_beams=3, max_new_tokens=5).hypotheses
    assert before == after


@pytest.mark.parametrize("architecture", ["bloom", "mpt", "lfm2"])
def test_lora_learns_what_a_plain_pass_teaches(architecture: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """θs is active on the whole sequence that it reads, and on nothing that θp alone reads."""
    backbone = Backbone(expanded_model(architecture, len(tokenizer)), tokenizer)
    task, own = (
        new_adapter(backbone, name, TrainingConfig(adapter="lora"), seed=3) for name in (TASK, SELF_EVALUATION)
    )
    with torch.no_grad():
        for parameter in [*task.parameters(), *own.parameters()]:
            parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(parameter.numel()))
    model, prompts = AdaptedModel(backbone, task, own), prompts_of(backbone, TEXTS)
    before = beam_search(model, prompts, num_beams=3, max_new_tokens=5).hypotheses
    parameters = own.parameters()
    ours = torch.autograd.grad(verdict_loss(model, PAIR, examples(backbone)).mean(), parameters, allow_unused=True)
    with task.active(), own.active():
        expected = plain_verdict_loss(model, examples(backbone))
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    used = [(a, b) for a, b in zip(ours, theirs, strict=True) if b is not None and b.norm() > 1e-6]
    assert len(used) > 4
    assert all(relative_difference(a, b) < 1e-3 for a, b in used)
    with torch.no_grad():
        for parameter in parameters:
            parameter.zero_()
    assert beam_search(model, prompts, num_beams=3, max_new_tokens=5).hypotheses == before
