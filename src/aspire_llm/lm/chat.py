"""Chat templates: which text and which tokens stand around what is said, while what is said stays text.

A template (Jinja) is rendered with marks in the place of what is said, which therefore cannot act on it. Its control
tokens are then given names that no text holds, and the tokenizer knows them by those alone.
"""

import datetime
import re
from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import SecurityError, TemplateSyntaxError
from transformers import PreTrainedTokenizerBase

from aspire_llm.data import chat_turns, example_turns
from aspire_llm.errors import ModelError, first_line
from aspire_llm.lm.text import control_tokens, hidden, renamed, without_noncharacters
from aspire_llm.lm.upstream import compile_chat_template
from aspire_llm.records import Question

_DAY = datetime.date(2024, 7, 26)  # for templates that tell the date: the same prompt today and tomorrow
_MARK = re.compile("\ufdd2(\\d+)\ufdd3")  # stands for what is said


class ChatPrompts:
    """Questions put through a chat template; see `PromptFormat`.

    Args:
        tokenizer: A fast one.
        template: Jinja.
        name: What messages call the template.

    Attributes:
        lead: White space that the template puts before an answer.
        terminator: The control token that the template ends an answer with; None where it has none there.

    Raises:
        ModelError: It is no template of a conversation, or reaches for what the sandbox keeps from it.
    """

    example_end = ""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str, name: str) -> None:
        self._name = name
        self._template = self._compiled(template)
        self._variables = dict(tokenizer.special_tokens_map)
        names = _control_names(tokenizer, template)
        self._hidden = hidden(names)
        self._control = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)")
        self._tokenizer = renamed(tokenizer, self._hidden)
        self._pieces: dict[int, list[str | int]] = {}
        waiting, answered = self._rendered(1), self._rendered(2)
        prompt = waiting.rstrip(" ")
        before, after = answered.split(_mark(1))[:2]
        self.lead = waiting[len(prompt) :]
        if before.startswith(prompt) and not before[len(prompt) :].strip():
            self.lead = before[len(prompt) :]
        ends = self._control.match(after.lstrip())
        self.terminator: int | None = tokenizer.convert_tokens_to_ids(ends.group()) if ends else None

    def render(self, question: Question, examples: Sequence[Question] = ()) -> str:
        """See `PromptFormat`; what is said stands in it without the characters that marks are made of."""
        return self._filled(chat_turns(question, examples))

    def beginning(self, examples: Sequence[Question]) -> str:
        """See `PromptFormat`."""
        turns = example_turns(examples)
        pieces = self._pieces_of(len(turns) + 1)
        return _fill(pieces[: pieces.index(len(turns))], turns)

    def request(self, text: str) -> str:
        """See `PromptFormat`."""
        return self._filled([text])

    def encode(self, prompt: str, continuation: str = "") -> list[tuple[int, int]]:
        """See `PromptFormat`."""
        text = prompt + without_noncharacters(continuation)
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        starts = (start for start, _ in encoding["offset_mapping"])
        return list(zip(encoding["input_ids"], starts, strict=True))

    def _filled(self, turns: Sequence[str]) -> str:
        return _fill(self._pieces_of(len(turns)), turns).rstrip(" ")

    def _pieces_of(self, count: int) -> list[str | int]:
        """The template around so many turns: its text, in which control tokens have hidden names, and their numbers."""
        if count not in self._pieces:
            parts = _MARK.split(self._rendered(count))  # text, number, text, number, …, text
            self._pieces[count] = [
                int(part) if place % 2 else self._control.sub(lambda found: self._hidden[found.group()], part)
                for place, part in enumerate(parts)
            ]
        return self._pieces[count]

    def _rendered(self, count: int) -> str:
        """A conversation of so many turns, marks in their places; the assistant is asked to speak where it is due."""
        roles = ("user", "assistant")
        messages = [{"role": roles[place % 2], "content": _mark(place)} for place in range(count)]
        try:
            text: str = self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=bool(count % 2),
                enable_thinking=False,  # an answer, not a train of thought
                strftime_now=_DAY.strftime,
                **self._variables,
            )
        except Exception as error:  # whatever a template may do
            raise ModelError(f"{self._name} cannot be rendered: {first_line(error)}") from error
        if missing := [place for place in range(count) if _mark(place) not in text]:
            said = f"what the {roles[missing[0] % 2]} says"
            raise ModelError(
                f"{self._name} leaves out {said} (turn {missing[0] + 1} of {count}); mend it, or use plain"
            )
        return text

    def _compiled(self, template: str) -> Any:
        def refuse(_: object, attribute: str) -> None:
            raise SecurityError(f"it reaches for {attribute!r}, which the sandbox keeps from templates")

        try:
            compiled = compile_chat_template(template)
        except TemplateSyntaxError as error:
            raise ModelError(f"{self._name}, line {error.lineno}: not valid Jinja ({first_line(error)})") from error
        compiled.environment.unsafe_undefined = refuse  # which would render as nothing, without a word
        return compiled


def _control_names(tokenizer: PreTrainedTokenizerBase, template: str) -> set[str]:
    """Tokens that text must not become: those that are no text, and those that the template is written with."""
    special = control_tokens(tokenizer) | {tokenizer.unk_token_id, tokenizer.eos_token_id}
    names = {tokenizer.convert_ids_to_tokens(token) for token in special if token is not None}
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    return names | {name for name in added if name in template and name.strip()}


def _fill(pieces: Sequence[str | int], turns: Sequence[str]) -> str:
    return "".join(piece if isinstance(piece, str) else without_noncharacters(turns[piece]) for piece in pieces)


def _mark(place: int) -> str:
    return f"\ufdd2{place}\ufdd3"
