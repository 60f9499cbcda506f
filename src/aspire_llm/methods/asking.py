"""The model asked in words whether an answer is right (Kadavath et al., 2022, "Language Models (Mostly) Know What They
Know", §3.1 and §3.2): the question, an answer, and the choice between (A) True and (B) False.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from aspire_llm.errors import DataError
from aspire_llm.lm.self_evaluation import log_self_evaluation
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.records import Question

_CHOICES = ("(A) True", "(B) False")
_ASKS = f"Is the possible answer:\n {_CHOICES[0]}\n {_CHOICES[1]}\nThe possible answer is:"


def asking_prompt(question: Question, answer: str, ideas: Sequence[str] = (), verdict: bool | None = None) -> str:
    """The text up to the choice.

    Args:
        question: What was asked; a context stands before it.
        answer: The possible answer.
        ideas: Brainstormed answers that the model may weigh; Kadavath et al. call this P(True).
        verdict: Of an example that comes before another question; None where the model is to choose.
    """
    context = f"{question.context}\n\n" if question.context else ""
    turns = "".join(f"Question: {asked}\nAnswer: {answered}\n" for asked, answered in question.history)
    brainstormed = "".join(f"{idea}\n" for idea in ideas)
    if brainstormed:
        brainstormed = f"Here are some brainstormed ideas:\n{brainstormed}"
    chosen = "" if verdict is None else f" {_CHOICES[0] if verdict else _CHOICES[1]}\n\n"
    return f"{context}{turns}Question: {question.question}\n{brainstormed}Possible answer: {answer}\n{_ASKS}{chosen}"


def log_p_true(
    answers: AnswerSet, title: str, ideas: Sequence[Sequence[str]] | None = None, examples: str = ""
) -> list[float]:
    """log P(A) over the pair of choices, of every answer.

    Args:
        answers: What to ask about.
        title: Of the progress bar.
        ideas: Brainstormed answers to each question.
        examples: Text before every question.

    Raises:
        DataError: A question does not fit the model's window, or the tokenizer does not tell the choices apart.
    """
    model, encoder = answers.source.model, answers.source.encoder
    asked = [
        _fitting(encoder, prompt.shown, answer.text, ideas[i] if ideas else (), examples)
        for i, (prompt, answer) in enumerate(zip(answers.source.prompts, answers.sampled, strict=True))
    ]

    @torch.no_grad()
    def compute(indices: Sequence[int]) -> list[float]:
        logits = model.read([asked[i][0] for i in indices], room=1)[2]
        choices = [asked[i][1] for i in indices]
        return [float(log_self_evaluation(row, pair)) for row, pair in zip(logits, choices, strict=True)]

    return answers.in_batches(title, [prompt for prompt, _ in asked], compute)


def _fitting(
    encoder: Encoder, question: Question, answer: str, ideas: Sequence[str], examples: str
) -> tuple[EncodedPrompt, tuple[int, int]]:
    """The fullest prompt that fits the window, and the first tokens of the two choices after it."""
    for text in _ever_shorter(question, answer, ideas, examples):
        true, false = (encoder.reply(text, choice) for choice in _CHOICES)
        common = _common(true, false)
        if common <= encoder.budget:
            return EncodedPrompt(question, question, text, true[:common]), (true[common], false[common])
    raise DataError(f"question {question.id!r} leaves no room in the model's window to ask about its answer")


def _ever_shorter(question: Question, answer: str, ideas: Sequence[str], examples: str) -> Iterator[str]:
    """Examples go first, then ideas from the last on, then the context by halves from its end."""
    if examples:
        yield examples + asking_prompt(question, answer, ideas)
    for count in range(len(ideas), -1, -1):
        yield asking_prompt(question, answer, ideas[:count])
    while question.context:
        question = replace(question, context=question.context[: len(question.context) // 2])
        yield asking_prompt(question, answer)


def _common(true: Sequence[int], false: Sequence[int]) -> int:
    """Length of the common beginning of two token sequences, which end differently."""
    length = next((i for i, (a, b) in enumerate(zip(true, false, strict=False)) if a != b), None)
    if length is None:
        raise DataError(f"the tokenizer does not tell {_CHOICES[0]!r} from {_CHOICES[1]!r}")
    return length
