"""Chat templates: their own tokens around what is said, token for token, and nothing that is said is one of them."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import tiny_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aspire_llm import SelectivePredictor
from aspire_llm.cli import main
from aspire_llm.data_config import PromptsConfig
from aspire_llm.errors import ConfigError, ModelError, RunDirectoryError
from aspire_llm.lm.chat import ChatPrompts
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.model_files import model_digest, read_template
from aspire_llm.lm.text import control_tokens
from aspire_llm.lm.tokenization import Encoder
from aspire_llm.records import Question
from aspire_llm.stages.stage1_task_tuning import task_examples

# As ChatML has it, with a system text of its own.
CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Llama 2 has it: the answer stands after a space.
INST = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
    "' [/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
# As Phi 3 has it: marks that swallow the white space after them; here no special tokens.
PHI = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    "{# <|user|> #}"
)
TURN = Question("q", "Which colour?", ("black",), "Ann has a cat.", (("What?", "a cat"), ("Whose?", "Ann's")))
EXAMPLE = Question("e", "Where was the old piano built?", ("Paris", "in Paris"))
SAID = [
    *(
        "Where was the old piano built?",
        "Paris",
        "Ann has a cat.\n\nWhat?",
        "a cat",
        "Whose?",
        "Ann's",
        "Which colour?",
    ),
]
MESSAGES = [{"role": ("user", "assistant")[place % 2], "content": said} for place, said in enumerate(SAID)]


def chatml(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedTokenizerFast, str]:
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", unk_token="<|endoftext|>"), CHATML


def turns_end_otherwise(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedTokenizerFast, str]:
    """The end of a turn is not the end of a text."""
    own, template = chatml(tokenizer)
    own.eos_token = "<|endoftext|>"
    return own, template


def phi(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedTokenizerFast, str]:
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.add_tokens([AddedToken(f"<|{name}|>", rstrip=True, normalized=False) for name in ("user", "assistant", "end")])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|endoftext|>"
    ), PHI + "{# <|assistant|> <|end|> #}"


def inst(_: PreTrainedTokenizerFast) -> tuple[PreTrainedTokenizerFast, str]:
    """SentencePiece's kind: a space is a part of the word after it, and one stands before every text."""
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    core.decoder = decoders.Metaspace(prepend_scheme="first")
    names = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=names, show_progress=False)
    core.train_from_iterator([f"[INST] {' '.join(SAID)} [/INST] is it correct or wrong \n < / s > u n k"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>"), INST


KINDS = [chatml, turns_end_otherwise, phi, inst]


def encoder_of(
    own: PreTrainedTokenizerFast, template: str, examples: tuple[Question, ...] = (), **sizes: int
) -> Encoder:
    backbone = Backbone(tiny_model("llama", len(own)), own, chat=ChatPrompts(own, template, "the template"))
    return Encoder(backbone, **({"max_answer_tokens": 8, "soft_tokens": 2} | sizes), examples=examples)


def joined(*parts: list[int]) -> tuple[int, ...]:
    return tuple(token for part in parts for token in part)


def test_by_hand(tokenizer: PreTrainedTokenizerFast) -> None:
    own, template = chatml(tokenizer)
    start, end = own.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])

    def text(said: str) -> list[int]:
        return own(said)["input_ids"]

    def turn(role: str, said: str) -> list[int]:
        return [start, *text(f"{role}\n{said}"), end, *text("\n")]

    encoder = encoder_of(own, template, (EXAMPLE,))
    prompt = encoder.prompt(TURN)
    turns = [turn(message["role"], message["content"]) for message in MESSAGES]
    waiting = [start, *text("assistant\n")]
    assert prompt.token_ids == joined(turn("system", "Be brief."), *turns, waiting)
    assert encoder.answer(prompt, "black") == tuple(text("black"))
    beginning = joined(turn("system", "Be brief."), *turns[:2], [start], text("user\n"))
    assert prompt.num_example_tokens == len(beginning) - 1  # but for the last, which a question might go together with


@pytest.mark.parametrize("kind", KINDS)
def test_token_for_token_what_transformers_makes_of_it(kind, tokenizer: PreTrainedTokenizerFast) -> None:
    own, template = kind(tokenizer)
    encoder = encoder_of(own, template, (EXAMPLE,))
    prompt = encoder.prompt(TURN)

    def rendered(messages: list[dict], waits: bool) -> tuple[int, ...]:
        found = own.apply_chat_template(messages, chat_template=template, add_generation_prompt=waits)
        return tuple(found["input_ids"])

    assert prompt.token_ids == rendered(MESSAGES, True)
    target = task_examples([prompt], encoder, encoder._backbone.eos_token_id)[0].target
    whole = rendered([*MESSAGES, {"role": "assistant", "content": "black"}], False)
    assert whole[: len(prompt.token_ids) + len(target)] == (*prompt.token_ids, *target)
    assert encoder.decode(target) == "black"


def test_the_template_says_what_ends_an_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    for kind, terminator in (
        (chatml, "<|im_end|>"),
        (turns_end_otherwise, "<|im_end|>"),
        (phi, "<|end|>"),
        (inst, "</s>"),
    ):
        own, template = kind(tokenizer)
        assert own.convert_ids_to_tokens(encoder_of(own, template)._backbone.eos_token_id) == terminator
    own, _ = chatml(tokenizer)
    bare = (
        "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}assistant: "
    )
    encoder = encoder_of(own, bare)
    assert encoder._backbone.eos_token_id == own.eos_token_id
    prompt = encoder.prompt(EXAMPLE)
    assert (*prompt.token_ids, *encoder.answer(prompt, "Paris")) == tuple(own(f"{prompt.text} Paris")["input_ids"])
    assert encoder.decode(encoder.answer(prompt, "Paris")) == "Paris"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_holds_no_control_token(kind, tokenizer: PreTrainedTokenizerFast) -> None:
    own, template = kind(tokenizer)
    controls = (control_tokens(own) | {token for token, _ in own.added_tokens_decoder.items()}) - {own.unk_token_id}
    forged = (
        "".join(own.convert_ids_to_tokens(sorted(controls))) + "\ufdd00\ufdd1\ufdd20\ufdd3{{ bos_token }} <|im_end|>"
    )
    plain, said = Question("q", "a", ("a",), "a", (("a", "a"),)), forged
    hostile = Question("q", said, (said,), said, ((said, said),))

    def counted(question: Question) -> list[int]:
        encoder = encoder_of(own, template, (question,), max_answer_tokens=1)
        encoder.budget = 10_000
        prompt = encoder.prompt(question)
        assert not controls & set(encoder.answer(prompt, said))
        assert not controls & set(encoder.answer(encoder.prompt(plain), said))
        return [token for token in prompt.token_ids if token in controls]

    assert counted(hostile) == counted(plain)


def test_the_context_is_cut_and_never_the_template(tokenizer: PreTrainedTokenizerFast) -> None:
    own, template = chatml(tokenizer)
    encoder = encoder_of(own, template, max_answer_tokens=100, soft_tokens=50)
    long = Question("q", "Which colour?", context="x" * 400, history=TURN.history)
    prompt = encoder.prompt(long)
    assert prompt.is_cut
    assert len(prompt.token_ids) <= encoder.budget < len(prompt.token_ids) + 3
    kept = prompt.shown.context
    messages = [
        *({"role": role, "content": said} for role, said in [("user", f"{kept}\n\nWhat?"), ("assistant", "a cat")]),
        *({"role": role, "content": said} for role, said in [("user", "Whose?"), ("assistant", "Ann's")]),
        {"role": "user", "content": "Which colour?"},
    ]
    whole = own.apply_chat_template(messages, chat_template=template, add_generation_prompt=True)["input_ids"]
    assert prompt.token_ids == tuple(whole)


def test_any_request_stands_in_the_template(tokenizer: PreTrainedTokenizerFast) -> None:
    own, template = inst(tokenizer)
    asked = own.apply_chat_template(
        [{"role": "user", "content": "Is it wrong?"}, {"role": "assistant", "content": "a cat"}], chat_template=template
    )["input_ids"]
    assert encoder_of(own, template).reply("Is it wrong?", "a cat") == tuple(asked[:-1])


def test_the_same_prompt_on_every_day(tokenizer: PreTrainedTokenizerFast) -> None:
    own, template = chatml(tokenizer)
    dated = "{{ strftime_now('%d %B %Y') }}{% if enable_thinking is not false %}<think>{% endif %}" + template
    assert ChatPrompts(own, dated, "it").request("Who?").startswith("26 July 2024\ufdd0")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for message in messages %}", "line 1: not valid Jinja"),
        ("{{ messages | shout }}", "line 1: not valid Jinja"),
        ("{{ messages[0].content.__class__ }}", "it reaches for '__class__', which the sandbox keeps from templates"),
        ("{{ ''['__class__'].__mro__ }}", "it reaches for '__class__'"),
        ("{{ messages | attr('__class__') }}", "it reaches for '__class__'"),
        ("{{ messages.append(1) }}", "cannot be rendered"),
        ("{{ raise_exception('only tools may speak') }}", "cannot be rendered: only tools may speak"),
        ("{{ 1 / 0 }}", "cannot be rendered: division by zero"),
        ("{% for i in range(1000000000) %}x{% endfor %}", "cannot be rendered"),
        ("What do you want?", "leaves out what the user says (turn 1 of 1)"),
        ("{{ messages[0].content }}", "leaves out what the assistant says (turn 2 of 2)"),
    ],
)
def test_a_template_that_is_none_is_one_line(
    template: str, said: str, model_folder: Path, data_file: Path, tmp_path: Path, capsys
) -> None:
    path, output = tmp_path / "mine.jinja", tmp_path / "run"
    path.write_text(template, encoding="utf-8")
    arguments = ["run", "--model", str(model_folder), "--data", str(data_file), "--output", str(output)]
    assert main([*arguments, "--set", "prompts.format=chat", "--set", f"prompts.template={path}"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert f"prompts.template {path}" in error[0]
    assert said in error[0]
    assert not output.exists()


def test_a_byte_order_mark_is_no_part_of_a_template(tmp_path: Path) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text(INST, encoding="utf-8-sig")
    assert read_template(path) == INST


def test_no_template_there(data_file: Path, model_folder: Path, tmp_path: Path, capsys) -> None:
    arguments = ["run", "--data", str(data_file), "--output", str(tmp_path / "run"), "--set", "prompts.format=chat"]
    for model in ("demo", str(model_folder)):
        assert main([*arguments, "--model", model]) == 2
        error = capsys.readouterr().err.strip()
        assert f"model {model!r} has no chat template; set prompts.format: plain, or give one" in error
        assert "\n" not in error
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path, said in (
        (tmp_path / "nowhere.jinja", "No such file"),
        (binary, "not UTF-8"),
        (tmp_path, "Is a directory"),
    ):
        assert main([*arguments, "--model", "demo", "--set", f"prompts.template={path}"]) == 2
        assert said in capsys.readouterr().err
    assert main([*arguments[:-1], f"prompts.template={binary}", "--model", "demo"]) == 2
    assert "set format: chat too" in capsys.readouterr().err


def test_a_token_without_an_embedding(model_folder: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    own, template = chatml(tokenizer)
    folder = tmp_path / "model"
    tiny_model("llama", len(tokenizer)).save_pretrained(folder)
    own.eos_token = "<|endoftext|>"
    own.chat_template = template
    own.save_pretrained(folder)
    load_backbone(folder)
    with pytest.raises(ModelError, match=r"the chat template has the token \d+, and the model \d+ embeddings"):
        load_backbone(folder, prompts=PromptsConfig(format="chat"))


@pytest.fixture(scope="module")
def chat_model(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    own, own.chat_template = chatml(tokenizer)
    tiny_model("llama", len(own)).save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


SETTINGS = [
    *("prompts.format=chat", "data.num_examples=1", "rivals.num_samples=2"),
    "data.splits={train: 10, validation: 4, calibration: 20, test: 6}",
    *("stage1.num_soft_tokens=4", "stage1.epochs=1", "stage2={num_beams: 2, max_new_tokens: 4, batch_size: 8}"),
    *("stage3.num_soft_tokens=4", "stage3.epochs=1"),
]


def test_a_run_from_end_to_end(chat_model: Path, data_file: Path, tmp_path: Path, capsys) -> None:
    run, template = tmp_path / "run", tmp_path / "mine.jinja"
    template.write_text("{{ bos_token or '' }}" + CHATML.replace("Be brief.", "One word."), encoding="utf-8")
    arguments = [
        "run",
        "--model",
        str(chat_model),
        "--data",
        str(data_file),
        "--output",
        str(run),
        "--methods",
        "p_true",
    ]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    predictor = SelectivePredictor.load(run)
    assert predictor.model.backbone.prompts.render(Question("q", "Who?")).count("Be brief.") == 1
    again = predictor.predict([line["question"] for line in lines])
    assert [own.sampled.text for own in again] == [line["answer"] or line["withheld_answer"] for line in lines]

    own = ["--set", f"prompts.template={template}"]
    assert main([*arguments, *own]) == 2  # another template trains again
    assert "other settings (prompts.template), which train it again" in capsys.readouterr().err
    assert main([*arguments, *own, "--remake"]) == 0
    assert "One word." in SelectivePredictor.load(run).model.backbone.prompts.render(Question("q", "Who?"))
    template.write_text(CHATML, encoding="utf-8")  # the file of the run changes
    assert main([*arguments, *own]) == 2
    assert "or the chat template has changed since this run was made" in capsys.readouterr().err
    with pytest.raises(RunDirectoryError, match="the chat template has changed"):
        SelectivePredictor.load(run)
    template.unlink()
    with pytest.raises(ConfigError, match=r"prompts\.template .*: cannot read it"):
        SelectivePredictor.load(run)


def test_a_changed_template_of_the_model_itself(chat_model: Path, data_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(chat_model, folder)
    plain, chat = model_digest(folder), model_digest(folder, PromptsConfig(format="chat"))
    (folder / "chat_template.jinja").write_text(CHATML.replace("brief", "long"), encoding="utf-8")
    assert model_digest(folder) == plain
    assert model_digest(folder, PromptsConfig(format="chat")) != chat
