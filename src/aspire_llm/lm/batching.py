"""Items of like length together: less padding, the same results in the order asked."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

from aspire_llm.lm.out_of_memory import smaller_after
from aspire_llm.processes import processes

Item = TypeVar("Item")
Result = TypeVar("Result")


def by_length(
    lengths: Sequence[int],
    batch_size: int,
    compute: Callable[[Sequence[int]], Sequence[Result]],
    *,
    main_only: bool = False,
) -> list[Result]:
    """Apply `compute` to batches of indices of about equally long items; results in the order of the items.

    Several processes share the batches. Where memory runs out, this batch and those after it are cut in half.

    Args:
        lengths: Of the items.
        batch_size: Items of a batch at most.
        compute: The results of the items with some indices.
        main_only: Of several processes, the main one gets the results, and the others none.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    most = batch_size

    def results_of(batch: Sequence[int]) -> list[Result]:
        nonlocal most
        found: list[Result] = []
        while len(found) < len(batch):
            indices = batch[len(found) : len(found) + most]
            try:
                found += compute(indices)
            except RuntimeError as error:
                most = smaller_after(error, len(indices))
        return found

    shared = processes().share(batches, results_of, main_only=main_only)
    if main_only and not processes().is_main:
        return []
    results = dict(zip(order, chain.from_iterable(shared), strict=True))
    return [results[i] for i in range(len(lengths))]


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """Examples of one optimiser step.

    Attributes:
        size: How many there are.
        passes: Those that this process takes, as they go through the model together.
    """

    size: int
    passes: list[list[Item]]


def parts_of(passes: Sequence[Sequence[Item]], most: int) -> list[Sequence[Item]]:
    """The same items in passes of at most so many."""
    return [part[start : start + most] for part in passes for start in range(0, len(part), most)]


def training_batches(
    examples: Sequence[Item], length: Callable[[Item], int], batch_size: int, budget: int, *, seed: int
) -> list[Batch[Item]]:
    """All examples in batches of about equal length, each batch as the passes that a budget of positions asks for."""
    lengths = [length(example) for example in examples]
    return [
        Batch(len(batch), [[examples[i] for i in run] for run in split_by_budget(own, lengths, budget)])
        for batch in length_batches(lengths, batch_size, seed=seed)
        for own in [processes().stripe(batch)]
    ]


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
