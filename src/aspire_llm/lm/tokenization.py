"""Text to token ids and back: prompts that fit the window, answers as they stand after a prompt, verdict tokens."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from aspire_llm.errors import ModelError, TooLongError
from aspire_llm.lm.decoding.hypotheses import Hypothesis
from aspire_llm.lm.model import Backbone
from aspire_llm.records import Question, SampledAnswer


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A question as the model reads it.

    Attributes:
        question: As it was asked.
        shown: The question with its context as it was cut to fit the window; the same where it fits.
        text: The prompt, as its format renders it.
        token_ids: Its tokens, after those that the tokenizer puts before every text.
        num_example_tokens: First tokens that every prompt of a run begins with: those of the few-shot examples, and of
            a chat template before them.
    """

    question: Question
    shown: Question
    text: str
    token_ids: tuple[int, ...]
    num_example_tokens: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether the context was shortened."""
        return self.shown is not self.question


class Encoder:
    """Turns questions and answers into tokens of one backbone.

    Args:
        backbone: The model and its tokenizer.
        max_answer_tokens: Longest answer, terminator included.
        soft_tokens: Positions of the window that θp and θs take.
        examples: Few-shot examples that precede every question.
    """

    def __init__(
        self, backbone: Backbone, *, max_answer_tokens: int, soft_tokens: int, examples: Sequence[Question] = ()
    ) -> None:
        self._backbone, self._format = backbone, backbone.prompts
        self._max_answer_tokens = max_answer_tokens
        self._examples = tuple(examples)
        beginning = self._format.beginning(examples)
        # Without the last token, which may be another where a question follows.
        self._example_ids = self._tokens(beginning)[:-1] if beginning else ()
        self.budget = backbone.window - max_answer_tokens - soft_tokens  # tokens that a prompt may have

    def prompt(self, question: Question) -> EncodedPrompt:
        """The prompt of a question; a context that is too long loses its end.

        Raises:
            ModelError: The model has no token for the question.
            TooLongError: The prompt does not fit even without its context.
        """
        text, token_ids = self._render(question)
        if not self._backbone.tokenizer(question.question, add_special_tokens=False)["input_ids"]:
            raise ModelError(
                f"question {question.id!r}: the model's tokenizer leaves nothing of it; ask in other words"
            )
        if len(token_ids) <= self.budget:
            return self._encoded(question, question, text, token_ids)
        if question.context is None or len(self._render(_with_context(question, 0))[1]) > self.budget:
            raise TooLongError(
                f"question {question.id!r}: its prompt has {len(token_ids)} tokens, but the model's window of "
                f"{self._backbone.window} leaves {self.budget} beside soft tokens and answer; shorten it"
            )
        return self._cut(question)

    def answer(self, prompt: EncodedPrompt, answer: str) -> tuple[int, ...]:
        """Tokens of an answer as they stand after the prompt, and one space where it is plain, without terminator."""
        # Tokenised together: alone, a SentencePiece tokenizer would put a prefix space before the answer.
        pairs = self._format.encode(prompt.text, f"{self._format.lead}{answer}" if answer else "")
        return tuple(token for token, start in pairs if start >= len(prompt.text))

    def reply(self, request: str, answer: str) -> tuple[int, ...]:
        """Tokens of a prompt that asks for whatever a text asks for, and of an answer after it."""
        return self._tokens(self._format.request(request), f"{self._format.lead}{answer}")

    def shortened(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """A reference cut to the longest answer that decoding may give."""
        return token_ids[: self._max_answer_tokens]

    def sampled_answer(self, hypothesis: Hypothesis) -> SampledAnswer:
        """What the model generated, as text with its likelihood."""
        log_probs = hypothesis.token_log_probs
        return SampledAnswer(
            text=self.decode(hypothesis.answer_ids),
            token_ids=hypothesis.answer_ids,
            log_likelihood=sum(log_probs) / len(log_probs),
            num_tokens=len(log_probs),
            terminated=hypothesis.terminated,
        )

    def verdict_tokens(self, words: tuple[str, str]) -> tuple[int, int]:
        """First tokens z_c, z_w of the verdict words.

        Raises:
            ModelError: They are the same.
        """
        correct, wrong = (self._after_answer(f" {word}")[0] for word in words)
        if correct == wrong:
            token = self._backbone.tokenizer.convert_ids_to_tokens(correct)
            raise ModelError(
                f"the verdict words {words[0]!r} and {words[1]!r} share their first token {token!r} in this model's "
                "vocabulary; choose others with stage3.verdict_words"
            )
        return correct, wrong

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of an answer, stripped."""
        return self._backbone.text.decode(token_ids)

    @cached_property
    def example_terminator(self) -> int | None:
        """The token that ends the answers of the examples, as a model that was not tuned will end its own.

        None where that is the model's terminator, or where there are no examples.
        """
        if not self._examples or not self._format.example_end:
            return None
        shown = self._format.beginning(self._examples[:1])
        ends = range(len(shown) - len(self._format.example_end), len(shown))
        return next((token for token, start in self._format.encode(f"{shown}Q") if start in ends), None)

    def _render(self, question: Question) -> tuple[str, tuple[int, ...]]:
        text = self._format.render(question, self._examples)
        return text, self._tokens(text)

    def _cut(self, question: Question) -> EncodedPrompt:
        assert question.context is not None
        low, high = 0, len(question.context)  # characters kept: the longest that fits lies in [low, high)
        while high - low > 1:
            middle = (low + high) // 2
            fits = len(self._render(_with_context(question, middle))[1]) <= self.budget
            low, high = (middle, high) if fits else (low, middle)
        shortened = _with_context(question, low)
        return self._encoded(question, shortened, *self._render(shortened))

    def _encoded(self, question: Question, shown: Question, text: str, token_ids: tuple[int, ...]) -> EncodedPrompt:
        common = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(token_ids, self._example_ids, strict=False))
        return EncodedPrompt(question, shown, text, token_ids, num_example_tokens=sum(1 for _ in common))

    def _tokens(self, prompt: str, continuation: str = "") -> tuple[int, ...]:
        return tuple(token for token, _ in self._format.encode(prompt, continuation))

    def _after_answer(self, text: str) -> tuple[int, ...]:
        answer = "A:"
        pairs = self._backbone.text.encode(answer + text)
        return tuple(token for token, start in pairs if start >= len(answer))


def _with_context(question: Question, length: int) -> Question:
    assert question.context is not None
    return dataclasses.replace(question, context=question.context[:length])
