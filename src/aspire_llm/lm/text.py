"""Text to tokens and back, where text is nothing but text: "</s>" in a question ends nothing."""

import json
import re
from collections.abc import Mapping, Sequence, Set

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")


class TextCodec:
    """Encodes text without any token that controls the model, and decodes answers.

    Args:
        tokenizer: A fast one.
        terminator: What ends answers; it controls, whatever the tokenizer says of it.

    Attributes:
        before: Tokens that the tokenizer puts before every text (such as BOS). What it would put after one (EOS, [SEP])
            is left out: an answer follows.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, terminator: int) -> None:
        self._tokenizer = tokenizer
        probe = tokenizer("a", return_special_tokens_mask=True)
        text_begins = probe["special_tokens_mask"].index(0)
        self.before: tuple[int, ...] = tuple(probe["input_ids"][:text_begins])
        controls = self._controls = control_tokens(tokenizer) | {terminator}
        self._encoder = tokenizer
        never = controls if tokenizer.unk_token_id is None else controls | {tokenizer.unk_token_id}
        names = {tokenizer.convert_ids_to_tokens(token) for token in never}
        if any(token in never for name in names for token, _ in self.text_tokens(name)):
            self._encoder = renamed(tokenizer, hidden(names))

    def encode(self, text: str) -> list[tuple[int, int]]:
        """Tokens of a text, and where in it each begins; those before the text begin at 0."""
        return [(token, 0) for token in self.before] + self.text_tokens(text)

    def text_tokens(self, text: str) -> list[tuple[int, int]]:
        """Tokens of a text alone, and where in it each begins."""
        encoding = self._encoder(
            without_noncharacters(text),
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        starts = (start for start, _ in encoding["offset_mapping"])
        return list(zip(encoding["input_ids"], starts, strict=True))

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of tokens, stripped; what controls is left out."""
        said = [token for token in token_ids if token not in self._controls]
        text: str = self._tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> Set[int]:
    """Tokens that are no text, but for the one of unknown text."""
    added = tokenizer.added_tokens_decoder
    special = {number for number, token in added.items() if token.special} | set(tokenizer.all_special_ids)
    return special - {tokenizer.unk_token_id}


def without_noncharacters(text: str) -> str:
    """The text, as long as before, without what Unicode has no characters for, and hidden names are made of."""
    return _NONCHARACTERS.sub("\ufffd", text)


def hidden(names: Set[str]) -> dict[str, str]:
    """For each name one that no text holds, see `without_noncharacters`."""
    return {name: f"\ufdd0{number}\ufdd1" for number, name in enumerate(sorted(names))}


def renamed(tokenizer: PreTrainedTokenizerBase, names: Mapping[str, str]) -> PreTrainedTokenizerBase:
    """The tokenizer with some tokens under other names, also where its vocabulary holds them as words."""
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in core["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = core["model"]
    if "unk_token" in model:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(token, token): number for token, number in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(token, token), score] for token, score in model["vocab"]]
    if "merges" in model:
        model["merges"] = [pair for pair in model["merges"] if _merged(pair) not in names]
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(core)))


def _merged(pair: str | Sequence[str]) -> str:
    return pair.replace(" ", "") if isinstance(pair, str) else "".join(pair)
