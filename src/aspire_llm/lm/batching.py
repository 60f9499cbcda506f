"""Items of like length together: less padding, the same results in the order asked."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def by_length(
    lengths: Sequence[int], batch_size: int, compute: Callable[[Sequence[int]], Sequence[Result]]
) -> list[Result]:
    """Apply `compute` to batches of indices of about equally long items; results in the order of the items."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    results: dict[int, Result] = {}
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        results |= zip(indices, compute(indices), strict=True)
    return [results[i] for i in range(len(lengths))]


def training_batches(
    examples: Sequence[Item], length: Callable[[Item], int], batch_size: int, budget: int, *, seed: int
) -> list[list[list[Item]]]:
    """All examples in batches of about equal length, each batch as the passes that a budget of positions asks for."""
    lengths = [length(example) for example in examples]
    batches = length_batches(lengths, batch_size, seed=seed)
    passes = [split_by_budget(batch, lengths, budget) for batch in batches]
    return [[[examples[i] for i in indices] for indices in batch] for batch in passes]


def length_batches(lengths: Sequence[int], batch_size: int, *, seed: int) -> list[list[int]]:
    """Indices of all items in batches of about equal length; which of equally long ones go together is drawn."""
    order = list(range(len(lengths)))
    random.Random(seed).shuffle(order)
    order.sort(key=lengths.__getitem__)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def split_by_budget(batch: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """A batch of indices in runs that take at most `budget` positions with their padding; at least one index a run."""
    runs: list[list[int]] = []
    for index in batch:
        longer = [*(runs[-1] if runs else []), index]
        if runs and len(longer) * max(lengths[i] for i in longer) <= budget:
            runs[-1] = longer
        else:
            runs.append([index])
    return runs
