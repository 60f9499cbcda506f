"""How a question stands before a plain (base) language model."""

from collections.abc import Sequence

from aspire_llm.errors import DataError
from aspire_llm.records import Question


def render_prompt(question: Question, examples: Sequence[Question] = ()) -> str:
    """The prompt for a question: context, earlier turns, question, and an "A:" that waits for " answer".

    To shorten the context, render ``dataclasses.replace(question, context=shorter)``.

    Args:
        question: What to ask; its references are not used.
        examples: Questions that come first, in the same format, each with its first reference and a blank line.

    Raises:
        DataError: An example has no reference to show.

    >>> render_prompt(Question(id="1", question="Who wrote it?", context="Emma is by Jane Austen."))
    'Emma is by Jane Austen.\\n\\nQ: Who wrote it?\\nA:'
    """
    return render_examples(examples) + _render_question(question)


def render_examples(examples: Sequence[Question]) -> str:
    """What every prompt with these examples begins with.

    Raises:
        DataError: An example has no reference to show.
    """
    return "".join(_render_example(example) for example in examples)


def _render_question(question: Question) -> str:
    context = f"{question.context}\n\n" if question.context else ""
    turns = "".join(f"Q: {asked}\nA: {answered}\n" for asked, answered in question.history)
    return f"{context}{turns}Q: {question.question}\nA:"


def _render_example(example: Question) -> str:
    if not example.references:
        raise DataError(f"the question {example.id!r} has no reference answer; an example in a prompt needs one")
    return f"{_render_question(example)} {example.references[0]}\n\n"
