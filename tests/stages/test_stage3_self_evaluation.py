"""S_c and S_w by hand; the loss and its gradient against a full forward and backward of every answer."""

from contextlib import nullcontext

import pytest
import torch
from conftest import SPEEDS
from reference import encoder_of, full_forward, sequence_embeddings, soft_prompt

from aspire_llm.config import SelfEvaluationConfig, TrainingConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, new_adapter
from aspire_llm.lm.kept_prefixes import KeptPrefixes
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import num_positions
from aspire_llm.records import LabelledAnswer, Question, SampledAnswer
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, select_answers, verdict_examples, verdict_loss

PAIR = (7, 11)


def labelled(text: str, *, correct: bool, token: int = 9) -> LabelledAnswer:
    return LabelledAnswer(SampledAnswer(text, (token,), -1.0, 2), 1.0 if correct else 0.0, correct)


def texts(answers: list[LabelledAnswer]) -> list[str]:
    return [answer.answer.text for answer in answers]


def test_likeliest_of_each_kind_are_taken_once() -> None:
    question = Question("q", "Who?", ("Ada Lovelace", "Lovelace"))
    answers = [
        labelled("Babbage", correct=False),
        labelled("Ada Lovelace", correct=True),  # the reference itself: in S_c already
        labelled("Lovelace", correct=True),
        labelled("Babbage", correct=False),  # equal text, other tokens
        labelled("ada lovelace", correct=True),
        labelled("ADA LOVELACE", correct=True),  # beyond k_c = 2
        labelled("Byron", correct=False),
        labelled("Menabrea", correct=False),  # beyond k_w = 2
    ]
    correct, wrong = select_answers(question, answers, max_correct=2, max_wrong=2)
    assert texts(correct) == ["Lovelace", "ada lovelace"]
    assert texts(wrong) == ["Babbage", "Byron"]


def test_the_empty_answer_is_wrong_where_nothing_else_is(llama: Backbone) -> None:
    encoder = encoder_of(llama)
    question = Question("q", "Who?", ("Paris", "P."))
    config = SelfEvaluationConfig(max_correct=2, max_wrong=10)
    (example,) = verdict_examples(
        [encoder_of(llama).prompt(question)], {"q": [labelled("paris", correct=True, token=5)]}, encoder, config
    )
    reference = encoder.answer(encoder.prompt(question), "Paris")
    assert example.correct == (reference, (5,))  # the first reference alone, then the sample
    assert example.wrong == ((),)


def test_an_unanswerable_question_has_wrong_answers_only(llama: Backbone) -> None:
    question = Question("q", "Who?", answerable=False)
    samples = {"q": [labelled("Paris", correct=False, token=5), labelled("Rome", correct=False, token=6)]}
    (example,) = verdict_examples(
        [encoder_of(llama).prompt(question)], samples, encoder_of(llama), SelfEvaluationConfig()
    )
    assert example.correct == ()
    assert example.wrong == ((5,), (6,))


@pytest.mark.parametrize("is_called_right", [False, True])
def test_no_tokens_stand_in_both_sets(llama: Backbone, is_called_right: bool) -> None:
    """A reference that is cut to the longest answer, and a sample of the same tokens: the sample's label decides."""
    encoder = encoder_of(llama)
    question = Question("q", "Who?", ("the clock maker of the small town by the river " * 9,))
    prompt = encoder.prompt(question)
    cut = encoder.shortened(encoder.answer(prompt, question.references[0]))
    assert len(cut) < len(encoder.answer(prompt, question.references[0]))
    same = LabelledAnswer(SampledAnswer(encoder.decode(cut), cut, -1.0, len(cut)), 0.5, is_called_right)
    samples = {"q": [same, labelled("Rome", correct=False, token=6)]}
    (example,) = verdict_examples([prompt], samples, encoder, SelfEvaluationConfig())
    assert not set(example.correct) & set(example.wrong)
    assert (example.correct, example.wrong) == (((cut,), ((6,),)) if is_called_right else ((), (cut, (6,))))
    # Also where the sample is beyond the k_w likeliest wrong ones.
    samples = {"q": [labelled("Rome", correct=False, token=6), same]}
    (example,) = verdict_examples([prompt], samples, encoder, SelfEvaluationConfig(max_wrong=1))
    assert (example.correct, example.wrong) == ((cut,) if is_called_right else (), ((6,),))


def test_the_likeliest_answer_alone(llama: Backbone) -> None:
    questions = [Question(name, "Where?", ("Paris",)) for name in "ab"]
    samples = {
        "a": [labelled("Paris", correct=True, token=5), labelled("Rome", correct=False, token=6)],
        "b": [labelled("Rome", correct=False, token=6), labelled("Paris", correct=True, token=5)],
    }
    config = SelfEvaluationConfig(learn_from="likeliest")
    right, wrong = verdict_examples(
        [encoder_of(llama).prompt(own) for own in questions], samples, encoder_of(llama), config
    )
    assert (right.correct, right.wrong) == (((5,),), ())
    assert (wrong.correct, wrong.wrong) == ((), ((6,),))


def naive_loss(model: AdaptedModel, batch: list[VerdictExample]) -> torch.Tensor:
    """Every answer in a forward of its own, over the whole sequence, as the formula stands."""
    total = torch.zeros(())
    for example in batch:
        for verdict, answers in zip(PAIR, (example.correct, example.wrong), strict=True):
            for answer in answers:
                logits = full_forward(model, sequence_embeddings(model, example.prompt, answer, verdict=True))[-1]
                total = total - torch.log_softmax(logits, -1)[verdict] / len(answers)
    return total / len(batch)


def examples(backbone: Backbone) -> list[VerdictExample]:
    encoder = encoder_of(backbone)
    short, long = (encoder.prompt(Question("", text)) for text in ("Who?", "Where was the old piano built, and when?"))
    return [
        VerdictExample(short, correct=((5, 6, 7), (8,)), wrong=((9, 10), (), (11, 12, 13, 14))),
        VerdictExample(long, correct=((20,),), wrong=((21, 22, 23),)),
        VerdictExample(short, correct=(), wrong=((30, 31),)),
    ]


@pytest.mark.parametrize("speed", SPEEDS)
def test_loss_and_gradient_equal_the_naive_ones(backbone: Backbone) -> None:
    task, ours = soft_prompt(backbone, seed=1), soft_prompt(backbone, length=4, seed=2)
    theirs = soft_prompt(backbone, length=4, seed=2)
    batch = examples(backbone)
    loss = verdict_loss(AdaptedModel(backbone, task, ours), PAIR, batch).mean()
    loss.backward()
    assert task.prompt_embeddings.grad is None
    expected = naive_loss(AdaptedModel(backbone, task, theirs), batch)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    difference = (ours.prompt_embeddings.grad - theirs.prompt_embeddings.grad).norm()
    assert difference / theirs.prompt_embeddings.grad.norm() < 1e-4
    assert theirs.prompt_embeddings.grad.norm() > 1e-3


@pytest.mark.parametrize("speed", SPEEDS)
def test_lora_is_active_where_it_should_be(backbone: Backbone) -> None:
    """θp on prompt and answer, θp and θs together on the verdict text: against two forwards with a cut cache."""
    config = TrainingConfig(adapter="lora", lora_rank=2)
    task = new_adapter(backbone, TASK, config, seed=1)
    self_evaluation = new_adapter(backbone, SELF_EVALUATION, config, seed=2)
    with torch.no_grad():
        for parameter in (*task.parameters(), *self_evaluation.parameters()):
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    model = AdaptedModel(backbone, task, self_evaluation)
    (example,) = examples(backbone)[1:2]
    loss = verdict_loss(model, PAIR, [example])

    total = 0.0
    for verdict, answers in zip(PAIR, (example.correct, example.wrong), strict=True):
        for answer in answers:
            prefix = sequence_embeddings(model, example.prompt, answer)
            with task.active():
                output = backbone.model(
                    inputs_embeds=prefix, position_ids=torch.arange(prefix.shape[1])[None], use_cache=True
                )
            text = self_evaluation.soft_tokens()[None]
            positions = prefix.shape[1] + torch.arange(text.shape[1])[None]
            with task.active(), self_evaluation.active():
                logits = backbone.model(
                    inputs_embeds=text, position_ids=positions, past_key_values=output.past_key_values
                ).logits[0, -1]
            total -= torch.log_softmax(logits, -1)[verdict].item()
    assert loss.item() == pytest.approx(total, rel=1e-4)
    loss.backward()
    assert all(p.grad is None for p in task.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in self_evaluation.parameters())


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever answers are read."""
    reads: list[int] = []
    original = AdaptedModel.read_answers

    def read_answers(*args, **kwargs):
        reads.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(AdaptedModel, "read_answers", read_answers)
    return reads


def test_kept_prefixes_change_nothing_and_are_read_once(llama: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = soft_prompt(llama, length=4, seed=2)
    model = AdaptedModel(llama, soft_prompt(llama, seed=1), adapter)
    batch = examples(llama)
    expected = verdict_loss(model, PAIR, batch).mean()
    expected.backward()
    gradient, adapter.prompt_embeddings.grad = adapter.prompt_embeddings.grad, None
    reads = count_reads(monkeypatch)
    kept = KeptPrefixes(llama, 10 * 2**20)
    for _ in range(3):
        loss = verdict_loss(model, PAIR, batch, read=kept.read).mean()
        assert loss.item() == expected.item()
    loss.backward()
    assert torch.equal(adapter.prompt_embeddings.grad, gradient)
    assert len(reads) == 1
    verdict_loss(model, PAIR, batch[:1], read=kept.read)
    assert len(reads) == 2


def test_beyond_the_budget_prefixes_are_read_anew(llama: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AdaptedModel(llama, None, soft_prompt(llama, length=4, seed=2))
    batch = examples(llama)
    cache, _ = model.read_answers([batch[0].prompt], [batch[0].correct])
    reads = count_reads(monkeypatch)
    kept = KeptPrefixes(llama, cache.num_bytes)
    for _ in range(2):
        kept.read(model, [batch[0].prompt], [batch[0].correct])
        kept.read(model, [batch[1].prompt], [batch[1].correct])
    assert len(reads) == 3
    assert kept.give_up()
    assert not kept.give_up()
    kept.read(model, [batch[0].prompt], [batch[0].correct])
    kept.read(model, [batch[0].prompt], [batch[0].correct])
    assert len(reads) == 5, "nothing is kept from there on"


def test_positions_of_a_pass(llama: Backbone) -> None:
    prompt = examples(llama)[0].prompt
    answers, own = [(5, 6), (), (7,)], len(prompt.token_ids)
    assert num_positions(llama, prompt, answers, soft_tokens=(9, 4)) == (9 + own) + (2 + 4) + 4 + (1 + 4)
    llama.shares_prefixes = False
    assert num_positions(llama, prompt, answers, soft_tokens=(9, 4)) == 3 * (9 + own) + (2 + 4) + 4 + (1 + 4)


def test_recomputing_layers_changes_no_gradient(backbone: Backbone) -> None:
    gradients = []
    for recomputing in (False, True):
        adapter = soft_prompt(backbone, length=4, seed=2)
        model = AdaptedModel(backbone, soft_prompt(backbone, seed=1), adapter)
        with backbone.layers_recomputed() if recomputing else nullcontext():
            verdict_loss(model, PAIR, examples(backbone)).mean().backward()
        gradients.append(adapter.prompt_embeddings.grad)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-5)
