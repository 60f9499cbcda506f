"""Items of like length together: less padding, the same results in the order asked."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from aspire_llm.lm.out_of_memory import smaller_after

Item = TypeVar("Item")
Result = TypeVar("Result")


def by_length(
    lengths: Sequence[int], batch_size: int, compute: Callable[[Sequence[int]], Sequence[Result]]
) -> list[Result]:
    """Apply `compute` to batches of indices of about equally long items; results in the order of the items.

    Where memory runs out, this batch and the longer ones after it are cut in half.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    results: dict[int, Result] = {}
    while len(results) < len(order):
        indices = order[len(results) : len(results) + batch_size]
        try:
            results |= zip(indices, compute(indices), strict=True)
        except RuntimeError as error:
            batch_size = smaller_after(error, len(indices))
    return [results[i] for i in range(len(lengths))]


def parts_of(passes: Sequence[Sequence[Item]], most: int) -> list[Sequence[Item]]:
    """The same items in passes of at most so many."""
    return [part[start : start + most] for part in passes for start in range(0, len(part), most)]


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
