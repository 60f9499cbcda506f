"""Exchanges of groups between splits, until every split holds as many questions as it needs."""

from collections.abc import Collection, Mapping
from itertools import permutations

from aspire_llm.records import Question, Split

Group = tuple[Question, ...]

_WHOLE_NUMBER = 1e9  # what a whole number lacks outweighs all that shares could lack
_WORTH_OF_A_GIFT = 0.9  # of an exchange that saves as much: a gift changes on how many groups a split draws


def exchange_groups(
    groups: Mapping[Split, list[Group]], sizes: Mapping[Split, int], targets: Collection[Split], *, exponent: int
) -> dict[Split, list[Group]]:
    """The groups dealt anew: as long as that helps, two splits exchange a group, or one gives the other one.

    Each time it is the exchange that most lessens Σ lack ** exponent / size over all splits, where a split lacks the
    questions that its groups do not hold.

    Args:
        groups: What each split has.
        sizes: How many questions each needs.
        targets: Splits for which that is not strict.
        exponent: 2 spreads what is lacking over the splits; 1 and 2 come to a stop at different divisions.
    """
    held = {split: list(own) for split, own in groups.items()}
    lacks = {split: sizes[split] - sum(map(len, own)) for split, own in held.items()}  # below 0: to spare
    weights = {split: (1 if split in targets else _WHOLE_NUMBER) / sizes[split] for split in held}
    while True:
        best: tuple[float, Split, Split, int, int] | None = None
        for giver, taker in permutations(held, 2):
            if lacks[taker] > 0 and held[giver]:
                found = _best_exchange(held, lacks, weights, giver, taker, exponent)
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
    weights: Mapping[Split, float],
    giver: Split,
    taker: Split,
    exponent: int,
) -> tuple[float, Split, Split, int, int] | None:
    """The exchange after which the least is lacking: its cost, below 0, both splits, the lengths of both groups."""
    import numpy as np  # most data need no exchange

    given = np.unique([len(group) for group in held[giver]])
    taken = np.unique([0, *(len(group) for group in held[taker])])
    more = given[:, None] - taken  # questions that change hands, by the lengths of both groups
    cost = np.zeros(more.shape)
    for split, gained in ((giver, -more), (taker, more)):
        after, before = np.maximum(lacks[split] - gained, 0), max(lacks[split], 0)
        cost += weights[split] * (after**exponent - before**exponent)
    cost[:, taken == 0] *= _WORTH_OF_A_GIFT
    row, column = np.unravel_index(np.argmin(cost), cost.shape)
    best = float(cost[row, column])
    return (best, giver, taker, int(given[row]), int(taken[column])) if best < 0 else None
