"""Exchanges of groups between splits, until every split holds as many questions as it needs."""

from collections.abc import Collection, Mapping
from itertools import permutations

from aspire_llm.records import Question, Split

Group = tuple[Question, ...]

_WHOLE_NUMBER = 1_000_000  # a question that a whole number lacks outweighs all that shares could lack


def exchange_groups(
    groups: Mapping[Split, list[Group]], sizes: Mapping[Split, int], targets: Collection[Split]
) -> dict[Split, list[Group]]:
    """The groups dealt anew: as long as that helps, two splits exchange a group, or one gives the other one.

    Each time it is the exchange that leaves the fewest questions missing, over all splits; where several do, one of two
    groups before a gift, which would change on how many groups a split draws.

    Args:
        groups: What each split has.
        sizes: How many questions each needs.
        targets: Splits for which that is not strict.
    """
    held = {split: list(own) for split, own in groups.items()}
    lacks = {split: sizes[split] - sum(map(len, own)) for split, own in held.items()}  # below 0: to spare
    weights = {split: 1 if split in targets else _WHOLE_NUMBER for split in held}
    while True:
        best: tuple[int, Split, Split, int, int] | None = None
        for giver, taker in permutations(held, 2):
            if lacks[taker] > 0 and held[giver]:
                found = _best_exchange(held, lacks, weights, giver, taker)
                best = min(filter(None, (best, found)), default=None)
        if best is None:
            return held
        _, giver, taker, given, taken = best
        lacks[giver] += given - taken
        lacks[taker] -= given - taken
        for source, target, length in ((giver, taker, given), (taker, giver, taken)):
            if length:
                moved = next(group for group in held[source] if len(group) == length)
                held[source].remove(moved)
                held[target].append(moved)


def _best_exchange(
    held: Mapping[Split, list[Group]],
    lacks: Mapping[Split, int],
    weights: Mapping[Split, int],
    giver: Split,
    taker: Split,
) -> tuple[int, Split, Split, int, int] | None:
    """The exchange after which the fewest questions are missing: its cost, below 0, both splits, both lengths."""
    import numpy as np  # most data need no exchange

    def missing(lack: "np.ndarray", split: Split) -> "np.ndarray":
        return np.maximum(lack, 0) * weights[split]

    given = np.unique([len(group) for group in held[giver]])
    taken = np.unique([0, *(len(group) for group in held[taker])])
    more = given[:, None] - taken  # questions that change hands, by the lengths of both groups
    after = missing(lacks[giver] + more, giver) + missing(lacks[taker] - more, taker)
    change = after - max(lacks[giver], 0) * weights[giver] - max(lacks[taker], 0) * weights[taker]
    change = 2 * change + (taken == 0)
    row, column = np.unravel_index(np.argmin(change), change.shape)
    gain = int(change[row, column])
    return (gain, giver, taker, int(given[row]), int(taken[column])) if gain < -1 else None
