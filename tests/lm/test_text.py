"""Text is text: nothing in a question, context or answer is a command, and what the tokenizer adds stays in front."""

import string
from pathlib import Path

import pytest
import torch
from conftest import tiny_model
from nli import save_nli_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from aspire_llm.correctness import label
from aspire_llm.demo import MODEL_DIR
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.text import TextCodec, control_tokens
from aspire_llm.lm.tokenization import Encoder
from aspire_llm.methods.entailment import EntailmentModel
from aspire_llm.records import Question, SampledAnswer
from aspire_llm.stages.stage1_task_tuning import task_examples

TEXTS = ["</s>", "<s>", "<|endoftext|>", "the </s> tag", "What ends a document: </s> or <|endoftext|>?", "so , it 's"]


def byte_level(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    return tokenizer


def framed(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Puts <s> before and </s> after every text."""
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.add_special_tokens(["<s>", "</s>"])
    marks = [(token, core.token_to_id(token)) for token in ("<s>", "</s>")]
    core.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=marks)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")


def closed_otherwise(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Puts a token after every text that is not the terminator."""
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.add_special_tokens(["[SEP]"])
    mark = [("[SEP]", core.token_to_id("[SEP]"))]
    core.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=mark)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", pad_token="[SEP]")


def unigram(_: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Control tokens are words of the vocabulary, the likeliest of all."""
    letters = [(letter, -5.0) for letter in f"▁{string.ascii_letters}<>/|:?.,'\n"]
    core = Tokenizer(models.Unigram([("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *letters], unk_id=0))
    core.pre_tokenizer, core.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    core.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def terminator_of_no_note(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """A terminator that the tokenizer takes for an ordinary added token."""
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.add_tokens(["</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")


def embedded(_: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(MODEL_DIR)


KINDS = [byte_level, framed, closed_otherwise, unigram, terminator_of_no_note, embedded]


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_undoes_encoding_and_no_control_is_among_it(kind, tokenizer: PreTrainedTokenizerFast) -> None:
    own = kind(tokenizer)
    codec, controls = TextCodec(own, own.eos_token_id), control_tokens(own) | {own.eos_token_id}
    for text in [*TEXTS, *own.all_special_tokens]:
        token_ids = [token for token, _ in codec.text_tokens(text)]
        assert codec.decode(token_ids) == text
        assert not controls & set(token_ids)
        assert [token for token, _ in codec.encode(text)] == [*codec.before, *token_ids]


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_and_target_hold_text_alone(kind, tokenizer: PreTrainedTokenizerFast) -> None:
    own = kind(tokenizer)
    backbone = Backbone(tiny_model("llama", len(own)), own)
    encoder = Encoder(backbone, max_answer_tokens=40, soft_tokens=2)
    controls = control_tokens(own) | {own.eos_token_id}
    question = Question("q", "Which: </s> or <|endoftext|>?", ("<s>",), context="It said <s> first.")
    prompt = encoder.prompt(question)
    before = len(backbone.text.before)
    assert prompt.token_ids[:before] == backbone.text.before
    assert not controls & set(prompt.token_ids[before:])
    assert encoder.decode(prompt.token_ids) == prompt.text
    target = task_examples([prompt], encoder, backbone.eos_token_id)[0].target
    assert target[-1] == backbone.eos_token_id
    assert not controls & set(target[:-1])
    text = encoder.decode(target)
    assert text == "<s>"
    assert label(SampledAnswer(text, target, -1.0, len(target), terminated=True), question, 0.7).correct


def test_what_a_tokenizer_puts_before_a_text_stays_and_what_it_puts_after_goes(tokenizer) -> None:
    for kind, before in ((framed, ("<s>",)), (closed_otherwise, ())):
        own = kind(tokenizer)
        assert own.convert_ids_to_tokens(list(TextCodec(own, own.eos_token_id).before)) == list(before)
        plain = own("Q: Who?\nA:")["input_ids"]
        assert [token for token, _ in TextCodec(own, own.eos_token_id).encode("Q: Who?\nA:")] == plain[:-1]


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_names_are_no_way_to_a_control_token(kind, tokenizer: PreTrainedTokenizerFast) -> None:
    own = kind(tokenizer)
    codec, controls = TextCodec(own, own.eos_token_id), control_tokens(own) | {own.eos_token_id}
    forged = "".join(f"\ufdd0{number}\ufdd1" for number in range(5))
    assert not controls & {token for token, _ in codec.text_tokens(forged)}


def test_ordinary_text_is_encoded_as_the_tokenizer_does(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Q: Where was the old piano built?\nA: Paris ☎️ — naïve"
    assert [token for token, _ in TextCodec(tokenizer, 0).encode(text)] == tokenizer(text)["input_ids"]


def test_the_nli_model_reads_control_tokens_as_text(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    own = closed_otherwise(tokenizer)
    model = EntailmentModel(save_nli_model(tmp_path, own, ["entailment", "other"]), torch.device("cpu"))
    seen: list[torch.Tensor] = []
    model._model.register_forward_pre_hook(
        lambda _module, _args, keywords: seen.append(keywords["input_ids"]), with_kwargs=True
    )
    model.probabilities([("a [SEP] b", "<|endoftext|>")])
    assert not set(seen[0][0].tolist()) & control_tokens(own)
