"""Decoding over a shared prefix gives what `generate` gives, and its likelihoods are the teacher-forced ones."""

import pytest
import torch
from conftest import SPEEDS, tiny_model
from reference import count_passes, encoder_of, generate, left_padded, soft_prompt
from transformers import GenerationConfig, PreTrainedTokenizerFast

from aspire_llm.errors import ModelError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import frozen
from aspire_llm.lm.cache.prefix import PrefixCache, takes_trees
from aspire_llm.lm.cpu.packed_linear import PackedLinear
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.likelihood import answer_log_probs
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.records import Question

QUESTIONS = [
    Question("0", "Where?"),
    Question("1", "Where was the old piano built, and is it correct that it was never played?"),
    Question("2", "Who built the old piano?"),
]


def tokens_of(model: AdaptedModel, prompts) -> list[int]:
    """Tokens that beams choose, the most frequent first: as the terminator, they end hypotheses at many lengths."""
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=6)
    tokens = [t for hypotheses in decoded.hypotheses for h in hypotheses for t in h.token_ids[2:]]
    return sorted(set(tokens), key=lambda token: (-tokens.count(token), token))


def frequent_token(model: AdaptedModel, prompts) -> int:
    return tokens_of(model, prompts)[0]


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("num_beams", [1, 4, 10])
def test_equals_generate(backbone: Backbone, num_beams: int, length_penalty: float) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone))
    prompts = [encoder_of(backbone).prompt(question) for question in QUESTIONS]
    backbone.eos_token_id = frequent_token(model, prompts)
    ours = beam_search(model, prompts, num_beams=num_beams, max_new_tokens=12, length_penalty=length_penalty).hypotheses
    # generate(num_beams=1) would be greedy search, whose scores differ: a beam of one is compared by its sequence.
    theirs = (
        generate(model, prompts, num_beams=max(2, num_beams), max_new_tokens=12, length_penalty=length_penalty)
        if num_beams > 1
        else None
    )
    if theirs is None:
        greedy = greedy_reference(model, prompts, max_new_tokens=12)
        assert [hypotheses[0].token_ids for hypotheses in ours] == greedy
        return
    assert any(h.terminated for row in ours for h in row), "the terminator must be among what is compared"
    for our_row, their_row in zip(ours, theirs, strict=True):
        assert [h.token_ids for h in our_row] == [sequence for sequence, _ in their_row]
        our_scores = [sum(h.token_log_probs) / len(h.token_ids) ** length_penalty for h in our_row]
        assert our_scores == pytest.approx([score for _, score in their_row], abs=1e-4)


def greedy_reference(model: AdaptedModel, prompts, *, max_new_tokens: int) -> list[tuple[int, ...]]:
    """Argmax decoding, one question at a time, with a full forward a token."""
    sequences = []
    for prompt in prompts:
        embeddings, _ = left_padded(model, [prompt])
        tokens: list[int] = []
        while len(tokens) < max_new_tokens and (not tokens or tokens[-1] != model.backbone.eos_token_id):
            positions = torch.arange(embeddings.shape[1])[None]
            logits = model.backbone.model(inputs_embeds=embeddings, position_ids=positions).logits
            tokens.append(int(logits[0, -1].argmax()))
            embeddings = torch.cat([embeddings, model.backbone.embed(torch.tensor([[tokens[-1]]]))], dim=1)
        sequences.append(tuple(tokens))
    return sequences


@pytest.mark.parametrize("speed", SPEEDS)
def test_likelihoods_are_the_teacher_forced_ones(backbone: Backbone) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone))
    prompts = [encoder_of(backbone).prompt(question) for question in QUESTIONS]
    backbone.eos_token_id = frequent_token(model, prompts)
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=8)
    for rank in range(4):
        chosen = [hypotheses[rank] for hypotheses in decoded.hypotheses]
        log_probs, questions = answer_log_probs(model, prompts, [h.token_ids for h in chosen])
        for i, hypothesis in enumerate(chosen):
            assert log_probs[questions == i].tolist() == pytest.approx(hypothesis.token_log_probs, abs=1e-4)


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_question_is_decoded_as_if_alone(backbone: Backbone) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone))
    prompts = [encoder_of(backbone).prompt(question) for question in QUESTIONS]
    backbone.eos_token_id = frequent_token(model, prompts)
    together = beam_search(model, prompts, num_beams=4, max_new_tokens=8).hypotheses
    alone = [beam_search(model, [prompt], num_beams=4, max_new_tokens=8).hypotheses[0] for prompt in prompts]
    assert [[h.token_ids for h in row] for row in together] == [[h.token_ids for h in row] for row in alone]


def test_settled_questions_leave_the_batch_and_nothing_changes(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone), soft_prompt(backbone, length=3, seed=2))
    questions = [*QUESTIONS, *(Question(str(i), f"Where was piano {i} built?") for i in range(5))]
    prompts = [encoder_of(backbone).prompt(question) for question in questions]
    sizes = []
    select = PrefixCache.select
    monkeypatch.setattr(
        PrefixCache, "select", lambda cache, rows, room=0: sizes.append(len(rows)) or select(cache, rows)
    )
    for terminator in tokens_of(model, prompts):
        backbone.eos_token_id = terminator
        together = beam_search(model, prompts, num_beams=3, max_new_tokens=30)
        if sizes:
            break
    assert sizes, "no question settled before the others: the test would show nothing"
    alone = [beam_search(model, [prompt], num_beams=3, max_new_tokens=30) for prompt in prompts]
    assert [[h.token_ids for h in row] for row in together.hypotheses] == [
        [h.token_ids for h in one.hypotheses[0]] for one in alone
    ]
    chosen = [row[0] for row in together.hypotheses]
    verdicts = evaluate_decoded(model, together, chosen, (7, 11)).tolist()
    one_by_one = [evaluate_decoded(model, one, [one.hypotheses[0][0]], (7, 11)).item() for one in alone]
    assert verdicts == pytest.approx(one_by_one, abs=1e-4)


def test_without_adapter_it_is_the_base_model(backbone: Backbone) -> None:
    prompts = [encoder_of(backbone).prompt(question) for question in QUESTIONS]
    ours = beam_search(AdaptedModel(backbone), prompts, num_beams=3, max_new_tokens=5, length_penalty=1.0).hypotheses
    for prompt, row in zip(prompts, ours, strict=True):
        output = backbone.model.generate(
            torch.tensor([prompt.token_ids]),
            generation_config=GenerationConfig(
                num_beams=3, num_return_sequences=3, max_new_tokens=5, eos_token_id=0, pad_token_id=0
            ),
            attention_mask=torch.ones(1, len(prompt.token_ids), dtype=torch.long),
        )
        new = [tuple(sequence[len(prompt.token_ids) :]) for sequence in output.tolist()]
        assert [h.token_ids for h in row] == [tokens[: len(h.token_ids)] for tokens, h in zip(new, row, strict=True)]


def test_samples_have_the_model_s_own_likelihoods_and_frequencies(llama: Backbone) -> None:
    model = AdaptedModel(llama)
    prompts = [encoder_of(llama).prompt(QUESTIONS[0])]
    logits = model.read(prompts)[2][0]
    expected = torch.softmax(logits / 2.0, dim=-1)
    decoded = sample_answers(model, prompts, num_samples=4000, max_new_tokens=1, temperature=2.0, seed=1)
    drawn = torch.tensor([h.token_ids[0] for h in decoded.hypotheses[0]])
    observed = torch.bincount(drawn, minlength=len(expected)) / 4000
    # Standard error of a frequency is at most 0.008; four of them.
    assert (observed - expected).abs().max() < 0.032
    decoded = sample_answers(model, prompts, num_samples=5, max_new_tokens=6, temperature=0.7, seed=2)
    for hypothesis in decoded.hypotheses[0]:
        log_probs, _ = answer_log_probs(model, prompts, [hypothesis.token_ids])
        assert log_probs.tolist() == pytest.approx(hypothesis.token_log_probs, abs=1e-4)


def test_what_is_drawn_for_a_question_does_not_depend_on_the_others(llama: Backbone) -> None:
    model, encoder = AdaptedModel(llama), encoder_of(llama)
    prompts = [encoder.prompt(question) for question in QUESTIONS]

    def drawn(asked: list[EncodedPrompt]) -> list[list[tuple[int, ...]]]:
        decoded = sample_answers(model, asked, num_samples=4, max_new_tokens=5, temperature=1.0, seed=3)
        return [[hypothesis.token_ids for hypothesis in own] for own in decoded.hypotheses]

    together = drawn(prompts)
    assert drawn(prompts[::-1]) == together[::-1]
    assert [drawn([prompt])[0] for prompt in prompts] == together
    assert len({tuple(own) for own in together}) == len(prompts), "questions do not share their draws"


def test_too_many_beams_for_the_vocabulary(llama: Backbone) -> None:
    prompts = [encoder_of(llama).prompt(QUESTIONS[0])]
    with pytest.raises(ModelError, match="500 beams need a vocabulary of 1000 tokens"):
        beam_search(AdaptedModel(llama), prompts, num_beams=500, max_new_tokens=2)


@pytest.mark.parametrize("lengths", [(0, 30, 12), (5, 5, 5)])
def test_what_all_prompts_begin_with_is_read_once(
    backbone: Backbone, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AdaptedModel(backbone, soft_prompt(backbone))
    encoder = encoder_of(backbone)
    context = "The old piano was built in a small town by the sea, long before the war. " * 2
    prompts = [
        encoder.prompt(Question(str(i), "Where was it built" + "?" * length, context=context))
        for i, length in enumerate(lengths)
    ]
    alone = [beam_search(model, [prompt], num_beams=3, max_new_tokens=5).hypotheses[0] for prompt in prompts]
    passes = count_passes(monkeypatch)
    together = beam_search(model, prompts, num_beams=3, max_new_tokens=5)
    shortest = min(len(prompt.token_ids) for prompt in prompts)
    assert shortest > 60
    assert sum(batch * rows for batch, rows in passes[:2]) < 2 * shortest  # instead of three prompts
    for own, expected in zip(together.hypotheses, alone, strict=True):
        assert [h.token_ids for h in own] == [h.token_ids for h in expected]
        for ours, theirs in zip(own, expected, strict=True):
            assert ours.token_log_probs == pytest.approx(theirs.token_log_probs, abs=1e-4)


def test_examples_are_read_once_for_all_batches(llama: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [Question(str(i), f"Who built piano {i}?", references=("Some old town",)) for i in range(3)]
    encoder = Encoder(llama, max_answer_tokens=32, soft_tokens=10, examples=examples)
    prompts = [encoder.prompt(question) for question in QUESTIONS]
    (shared,) = {prompt.num_example_tokens for prompt in prompts}
    assert shared > 32
    model = AdaptedModel(llama, frozen(soft_prompt(llama)))
    takes_trees(llama)
    passes = count_passes(monkeypatch)
    one_by_one = [beam_search(model, [prompt], num_beams=3, max_new_tokens=5).hypotheses[0] for prompt in prompts]
    assert [rows for _, rows in passes if rows > shared] == [shared + 5]
    again = AdaptedModel(llama, frozen(soft_prompt(llama)))
    for layer in llama.model.modules():
        if isinstance(layer, PackedLinear):
            layer.unpack()  # as in a new process
            layer._packed = None
    resumed = beam_search(again, prompts[2:], num_beams=3, max_new_tokens=5).hypotheses[0]
    assert resumed == one_by_one[2], "what was read before must not matter, not even by rounding"
    for prompt, own in zip(prompts, one_by_one, strict=True):
        for hypothesis in own:
            log_probs, _ = answer_log_probs(model, [prompt], [hypothesis.token_ids])
            assert log_probs.tolist() == pytest.approx(hypothesis.token_log_probs, abs=1e-4)


def test_examples_are_read_anew_while_theta_p_learns(llama: Backbone) -> None:
    examples = [Question(str(i), f"Who built piano {i}?", references=("Some old town",)) for i in range(3)]
    prompt = Encoder(llama, max_answer_tokens=32, soft_tokens=10, examples=examples).prompt(QUESTIONS[0])
    task = soft_prompt(llama)
    model = AdaptedModel(llama, task)
    before = model.read([prompt])[2]
    with torch.no_grad():
        task.prompt_embeddings += 0.1
    after = model.read([prompt])[2]
    frozen(task)
    for _ in range(2):
        assert torch.equal(after, model.read([prompt])[2])
    assert torch.equal(after, AdaptedModel(llama, task).read([prompt])[2])
    assert not torch.equal(after, before)


@pytest.fixture
def two_ends(tokenizer: PreTrainedTokenizerFast) -> AdaptedModel:
    """A model whose answers end by its terminator or by another token, as the untuned one's do after examples.

    Where one is likely the other is, too: often a beam's two likeliest continuations both end it.
    """
    model, (own, other) = tiny_model("llama", len(tokenizer)), (50, 61)
    with torch.no_grad():
        weight = model.get_output_embeddings().weight
        weight[own] *= 4
        weight[other] = 1.1 * weight[own]
    backbone = Backbone(model, tokenizer)
    backbone.eos_token_id = own
    return AdaptedModel(backbone, also_ends=other)


@pytest.mark.parametrize("num_beams", [2, 4, 10])
def test_answers_end_by_either_of_two_terminators(two_ends: AdaptedModel, num_beams: int) -> None:
    prompts = [encoder_of(two_ends.backbone).prompt(question) for question in QUESTIONS]
    ours = beam_search(two_ends, prompts, num_beams=num_beams, max_new_tokens=8).hypotheses
    theirs = generate(two_ends, prompts, num_beams=num_beams, max_new_tokens=8, length_penalty=0.0)
    for our_row, their_row in zip(ours, theirs, strict=True):
        assert [h.token_ids for h in our_row] == [sequence for sequence, _ in their_row]
        assert [h.terminated for h in our_row] == [ids[-1] in two_ends.terminators for ids, _ in their_row]
    assert {h.token_ids[-1] for row in ours for h in row if h.terminated} == set(two_ends.terminators)


def test_draws_end_by_the_first_of_two_terminators(two_ends: AdaptedModel) -> None:
    prompts = [encoder_of(two_ends.backbone).prompt(question) for question in QUESTIONS]

    def drawn(model: AdaptedModel) -> list[set[tuple[int, ...]]]:
        decoded = sample_answers(model, prompts, num_samples=40, max_new_tokens=8, temperature=1.0, seed=0)
        assert all(
            own.terminated == (own.token_ids[-1] in model.terminators) for row in decoded.hypotheses for own in row
        )
        return [{own.token_ids for own in row} for row in decoded.hypotheses]

    def cut(ids: tuple[int, ...]) -> tuple[int, ...]:
        return ids[: next((i + 1 for i, token in enumerate(ids) if token in two_ends.terminators), len(ids))]

    found = drawn(two_ends)
    assert found == [{cut(ids) for ids in row} for row in drawn(AdaptedModel(two_ends.backbone))]
    assert {ids[-1] for row in found for ids in row} >= set(two_ends.terminators)


@pytest.mark.parametrize("answer", ["Some old town", "In 1923."])
def test_answers_after_examples_end_as_those_of_the_examples_do(llama: Backbone, answer: str) -> None:
    examples = [Question(str(i), f"Who built piano {i}?", references=(answer,)) for i in range(2)]
    encoder = Encoder(llama, max_answer_tokens=8, soft_tokens=0, examples=examples)
    assert encoder.example_terminator is not None
    text = llama.tokenizer.decode([encoder.example_terminator])
    assert text.startswith("\n")
    assert not text.strip()
    assert Encoder(llama, max_answer_tokens=8, soft_tokens=0).example_terminator is None
