"""How a question becomes the text of a prompt, and a prompt its tokens: plain, or a chat template (`lm/chat.py`)."""

from collections.abc import Sequence
from typing import Protocol

from aspire_llm.data import render_examples, render_prompt
from aspire_llm.lm.text import TextCodec
from aspire_llm.records import Question


class PromptFormat(Protocol):
    """What stands around what is asked.

    Attributes:
        lead: What stands between a prompt and an answer, or the end of the prompt that its tokens go together with.
        example_end: What an example's answer ends with; empty where that is the model's terminator.
    """

    lead: str
    example_end: str

    def render(self, question: Question, examples: Sequence[Question] = ()) -> str:
        """The prompt, up to where `lead` and an answer follow."""
        ...

    def beginning(self, examples: Sequence[Question]) -> str:
        """What every prompt with these examples begins with."""
        ...

    def request(self, text: str) -> str:
        """The prompt that asks for whatever a text asks for."""
        ...

    def encode(self, prompt: str, continuation: str = "") -> list[tuple[int, int]]:
        """Tokens of a rendered prompt and of a text after it, and where in the two together each begins."""
        ...


class PlainPrompts:
    """Questions as lines of text, for which no model needs to be prepared."""

    lead = " "
    example_end = "\n\n"

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec

    def render(self, question: Question, examples: Sequence[Question] = ()) -> str:
        """See `PromptFormat`."""
        return render_prompt(question, examples)

    def beginning(self, examples: Sequence[Question]) -> str:
        """See `PromptFormat`."""
        return render_examples(examples)

    def request(self, text: str) -> str:
        """See `PromptFormat`."""
        return text

    def encode(self, prompt: str, continuation: str = "") -> list[tuple[int, int]]:
        """See `PromptFormat`."""
        return self._codec.encode(prompt + continuation)
