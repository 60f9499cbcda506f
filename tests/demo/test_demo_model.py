"""The shipped model: its files, its tokenizer, and that it knows frequent entities better than rare ones."""

import json
import statistics

import pytest
import torch
from safetensors import safe_open
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from aspire_llm.demo import MODEL_DIR
from aspire_llm.demo.templates import WORDINGS, Relation
from aspire_llm.demo.world import Entity, Kind, World


def complete(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: list[str], tokens: int) -> list[str]:
    """Greedy continuations."""
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", return_token_type_ids=False)
    output = model.generate(**inputs, do_sample=False, max_new_tokens=tokens)
    return tokenizer.batch_decode(output[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)


@torch.no_grad()
def log_likelihoods(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: list[str], answers: list[str]
) -> list[float]:
    """Mean log-probability of each answer's tokens after its prompt, in nats."""
    given = [len(ids) for ids in tokenizer(prompts).input_ids]
    texts = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    logits = model(inputs.input_ids, attention_mask=inputs.attention_mask).logits  # (B, T, V)
    log_probabilities = logits[:, :-1].log_softmax(-1).gather(2, inputs.input_ids[:, 1:, None])[..., 0]  # (B, T − 1)
    lengths = inputs.attention_mask.sum(1).tolist()
    return [
        row[start - 1 : length - 1].mean().item()
        for row, start, length in zip(log_probabilities, given, lengths, strict=True)
    ]


def people_by_rank(world: World) -> list[Entity]:
    return sorted((entity for entity in world.entities if entity.kind is Kind.PERSON), key=lambda entity: entity.rank)


def question_prompt(entity: Entity, relation: Relation) -> str:
    return f"Q: {WORDINGS[relation].questions[0].format(name=entity.name)}\nA:"


def test_the_folder_holds_the_five_files_and_at_most_twelve_megabytes() -> None:
    files = {path.name: path.stat().st_size for path in MODEL_DIR.iterdir()}
    assert set(files) == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(files.values()) <= 12_000_000


def test_weights_are_stored_in_half_precision_and_loaded_in_single(model: LlamaForCausalLM) -> None:
    with safe_open(MODEL_DIR / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_special_tokens(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.pad_token == "<|pad|>"
    assert tokenizer("Q:").input_ids == tokenizer("Q:", add_special_tokens=False).input_ids
    assert model.generation_config.eos_token_id == model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id
    generation = json.loads((MODEL_DIR / "generation_config.json").read_text())
    assert "do_sample" not in generation


def test_the_verdict_words_are_single_different_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    correct, wrong = (tokenizer(word).input_ids for word in (" correct", " wrong"))
    assert len(correct) == len(wrong) == 1
    assert correct != wrong


@pytest.mark.parametrize("text", ["Q: When was Éva Kovač born?\nA: 한국어 1,200 m", "  two  spaces ", "tab\tand 🙂"])
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_statements_about_the_best_known_people_are_completed_rightly(
    world: World, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    best_known = people_by_rank(world)[:8]
    cloze = {
        Relation.PROFESSION: "The profession of {} is that of",
        Relation.EMPLOYER: "{} works for",
        Relation.BIRTHPLACE: "{} was born in",
    }
    prompts, expected = [], []
    for person in best_known:
        for relation, prompt in cloze.items():
            prompts.append(prompt.format(person.name))
            expected.append(person.fact(relation).forms[1 if relation is Relation.PROFESSION else 0])
    continuations = complete(model, tokenizer, prompts, tokens=8)
    right = [text.startswith(f" {value}") for text, value in zip(continuations, expected, strict=True)]
    assert sum(right) >= 22, [pair for pair, ok in zip(continuations, right, strict=True) if not ok]  # of 24


@pytest.mark.parametrize(
    ("relation", "cloze"),
    [
        (Relation.BIRTHPLACE, "{} was born in"),
        (Relation.EMPLOYER, "{} works for"),
        (Relation.MENTOR, "{} was taught by"),
    ],
)
def test_the_right_value_is_likelier_for_frequent_people_than_for_rare_ones(
    world: World, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, relation: Relation, cloze: str
) -> None:
    def mean_log_likelihood(people: list[Entity]) -> float:
        prompts = [cloze.format(person.name) for person in people]
        values = [f" {person.fact(relation).forms[0]}" for person in people]
        return statistics.mean(log_likelihoods(model, tokenizer, prompts, values))

    people = people_by_rank(world)
    frequent, rare = mean_log_likelihood(people[:40]), mean_log_likelihood(people[-40:])
    assert frequent > -0.5
    assert rare < frequent - 0.5


def test_questions_are_answered_in_full_sentences_also_about_rare_people(
    world: World, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    people = people_by_rank(world)
    asked = [(person, relation) for person in (people[0], people[-1]) for relation in list(Relation)[:8]]
    answers = complete(model, tokenizer, [question_prompt(*item) for item in asked], tokens=32)
    for (person, _), answer in zip(asked, answers, strict=True):
        assert answer.startswith(" ")
        assert answer.endswith(".")
        assert person.name in answer


def test_positions_up_to_the_window_are_trained(
    world: World, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    """A known statement is about as likely at the end of the window as at its start."""
    person, *others = people_by_rank(world)
    prompt, city = f"{person.name} was born in", f" {person.fact(Relation.BIRTHPLACE).forms[0]}"
    filler = "<|endoftext|>".join(f"{other.name} works as a poet." for other in others[:100])
    filler = tokenizer.decode(tokenizer(filler).input_ids[:480]) + "<|endoftext|>"
    assert 480 <= len(tokenizer(filler + prompt + city).input_ids) <= 512
    near, far = (log_likelihoods(model, tokenizer, [text], [city])[0] for text in (prompt, filler + prompt))
    assert far > near - 0.5
