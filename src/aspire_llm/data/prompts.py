"""How a question stands before a language model: as plain text, or as what is said in turn in a conversation."""

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


def chat_turns(question: Question, examples: Sequence[Question] = ()) -> list[str]:
    """What user and assistant say in turn, the user first and last: examples, earlier turns, the question.

    A context stands before the first question of those that it belongs to.

    Args:
        question: What to ask; its references are not used.
        examples: Questions that come first, each with its first reference.

    Raises:
        DataError: An example has no reference to show.

    >>> chat_turns(Question(id="1", question="Who wrote it?", context="Emma is by Jane Austen."))
    ['Emma is by Jane Austen.\\n\\nWho wrote it?']
    """
    return [*example_turns(examples), *_turns(question)]


def example_turns(examples: Sequence[Question]) -> list[str]:
    """What every conversation with these examples begins with.

    Raises:
        DataError: An example has no reference to show.
    """
    return [turn for example in examples for turn in (*_turns(example), _shown_reference(example))]


def _turns(question: Question) -> list[str]:
    said = [turn for asked_and_answered in question.history for turn in asked_and_answered]
    first, *others = [*said, question.question]
    return [_after_context(question, first), *others]


def _after_context(question: Question, text: str) -> str:
    return f"{question.context}\n\n{text}" if question.context else text


def _render_question(question: Question) -> str:
    turns = "".join(f"Q: {asked}\nA: {answered}\n" for asked, answered in question.history)
    return _after_context(question, f"{turns}Q: {question.question}\nA:")


def _render_example(example: Question) -> str:
    return f"{_render_question(example)} {_shown_reference(example)}\n\n"


def _shown_reference(example: Question) -> str:
    if not example.references:
        raise DataError(f"the question {example.id!r} has no reference answer; an example in a prompt needs one")
    return example.references[0]
