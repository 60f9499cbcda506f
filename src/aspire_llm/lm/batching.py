"""Questions of like length together: less padding, the same results in the order asked."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from aspire_llm.lm.tokenization import Encoder
from aspire_llm.records import Question

Result = TypeVar("Result")


def by_length(
    questions: Sequence[Question],
    encoder: Encoder,
    batch_size: int,
    compute: Callable[[Sequence[Question]], Sequence[Result]],
) -> list[Result]:
    """Apply `compute` to batches of questions whose prompts are about equally long; results in the order given."""
    lengths = [len(encoder.prompt(question).token_ids) for question in questions]
    order = sorted(range(len(questions)), key=lengths.__getitem__)
    results: dict[int, Result] = {}
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        results |= zip(indices, compute([questions[i] for i in indices]), strict=True)
    return [results[i] for i in range(len(questions))]
