"""Text to token ids and back: prompts that fit the window, answers as they stand after a prompt, verdict tokens."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from aspire_llm.data import render_examples, render_prompt
from aspire_llm.errors import ModelError
from aspire_llm.lm.decoding.hypotheses import Hypothesis
from aspire_llm.lm.model import Backbone
from aspire_llm.records import Question, SampledAnswer


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A question as the model reads it.

    Attributes:
        question: As it was asked.
        shown: The question with its context as it was cut to fit the window; the same where it fits.
        text: The prompt.
        token_ids: Its tokens, after those that the tokenizer puts before every text.
        num_example_tokens: First tokens that are the few-shot examples', which every prompt of a run begins with.
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
        self._backbone = backbone
        self._max_answer_tokens = max_answer_tokens
        self._examples = tuple(examples)
        # Without the last token, which may be another where a question follows.
        self._example_ids = self.tokens(render_examples(examples))[:-1] if examples else ()
        self.budget = backbone.window - max_answer_tokens - soft_tokens  # tokens that a prompt may have

    def prompt(self, question: Question) -> EncodedPrompt:
        """The prompt of a question; a context that is too long loses its end.

        Raises:
            ModelError: The model has no token for the question, or the prompt does not fit even without its context.
        """
        text, token_ids = self._render(question)
        if not self._backbone.tokenizer(question.question, add_special_tokens=False)["input_ids"]:
            raise ModelError(
                f"question {question.id!r}: the model's tokenizer leaves nothing of it; ask in other words"
            )
        if len(token_ids) <= self.budget:
            return self._encoded(question, question, text, token_ids)
        if question.context is None or len(self._render(_with_context(question, 0))[1]) > self.budget:
            raise ModelError(
                f"question {question.id!r}: its prompt has {len(token_ids)} tokens, but the model's window of "
                f"{self._backbone.window} leaves {self.budget} beside soft tokens and answer; shorten it"
            )
        return self._cut(question)

    def answer(self, prompt: EncodedPrompt, answer: str) -> tuple[int, ...]:
        """Tokens of an answer as they stand after the prompt and one space; the terminator is not among them."""
        return self._continuation(prompt.text, f" {answer}" if answer else "")

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
        correct, wrong = (self._continuation("A:", f" {word}")[0] for word in words)
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

    def _render(self, question: Question) -> tuple[str, tuple[int, ...]]:
        text = render_prompt(question, self._examples)
        return text, self.tokens(text)

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

    def _continuation(self, prompt: str, continuation: str) -> tuple[int, ...]:
        # Tokenised together: alone, a SentencePiece tokenizer would put a prefix space before the continuation.
        pairs = self._backbone.text.encode(prompt + continuation)
        return tuple(token for token, start in pairs if start >= len(prompt))

    def tokens(self, text: str) -> tuple[int, ...]:
        """Tokens of any text, after those that the tokenizer puts before every text."""
        return tuple(token for token, _ in self._backbone.text.encode(text))


def _with_context(question: Question, length: int) -> Question:
    assert question.context is not None
    return dataclasses.replace(question, context=question.context[:length])
