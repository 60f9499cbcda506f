"""Splits of given sizes that share no group: first the groups are divided, then each split draws from its own."""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, zip_longest

from aspire_llm.data.group_exchange import Group, exchange_groups
from aspire_llm.errors import DataError
from aspire_llm.records import Question, Split

_ATTEMPTS = 100


def split_questions(
    questions: Iterable[Question], sizes: Mapping[Split, int], *, targets: Collection[Split] = (), seed: int
) -> dict[Split, tuple[Question, ...]]:
    """Divide questions into splits of the sizes asked for, no group standing in two of them.

    All groups are divided among the splits, in proportion to the sizes, at random. Where a split's groups hold too few
    questions for its size, as few groups as possible are exchanged until they do. Then each split draws its questions
    evenly over its groups, in an order of which every beginning is even too. So a split draws on a share of the groups
    like its share of the questions, and what is not drawn is dropped.

    The result depends on the questions, the sizes and the seed, not on the order of the questions.

    Args:
        questions: The whole data set. A question without a group is its own.
        sizes: How many questions each split gets; 0 gives an empty split.
        targets: Splits that may get fewer, where their size would cost more exchanges than it is worth.
        seed: Of the division and of the draws.

    Raises:
        DataError: A size is negative, there are fewer questions than asked for, or the groups cannot be divided so.
    """
    groups = _group(questions)
    available = sum(map(len, groups))
    asked = f"splits of {_in_words(sizes)} = {sum(sizes.values())} questions were asked for"
    if any(size < 0 for size in sizes.values()):
        raise DataError(f"{asked}; no size may be negative")
    if sum(sizes.values()) > available:
        raise DataError(f"{asked}, and there are {available} (in {len(groups)} groups); ask for fewer")
    rng = random.Random(seed)
    wanted = {split: size for split, size in sizes.items() if size}
    divided = _divide(groups, wanted, targets, rng) if wanted else {}
    if divided is None:
        best = _divide(groups, wanted, wanted, rng)
        assert best is not None
        held = {split: min(size, sum(map(len, best[split]))) for split, size in wanted.items()}
        raise DataError(
            f"{asked}, and the {available} there are stand in {len(groups)} groups (the largest of "
            f"{max(map(len, groups))}), none of which may stand in two splits; {_in_words(held)} can be had"
        )
    return {split: draw_evenly(divided.get(split, []), size, rng) for split, size in sizes.items()}


def draw_evenly(groups: Sequence[Group], size: int, rng: random.Random) -> tuple[Question, ...]:
    """As many questions, evenly over the groups: one of each, then another of each, and so on."""
    shuffled = [list(group) for group in groups]
    for group in shuffled:
        rng.shuffle(group)
    rounds = chain.from_iterable(zip_longest(*shuffled))
    return tuple(question for question in rounds if question is not None)[:size]


def sample_evenly(questions: Iterable[Question], size: int, *, seed: int) -> tuple[Question, ...]:
    """As many questions of a data set, evenly over its groups; it depends on the seed, not on their order."""
    rng = random.Random(seed)
    groups = _group(questions)
    rng.shuffle(groups)
    return draw_evenly(groups, size, rng)


def _in_words(sizes: Mapping[Split, int]) -> str:
    return " + ".join(f"{size} {split}" for split, size in sizes.items())


def _group(questions: Iterable[Question]) -> list[Group]:
    """The groups in the order of their names, each in the order of its ids."""
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.group or question.id, []).append(question)
    return [tuple(sorted(groups[name], key=lambda question: question.id)) for name in sorted(groups)]


def _divide(
    groups: list[Group], sizes: Mapping[Split, int], targets: Collection[Split], rng: random.Random
) -> dict[Split, list[Group]] | None:
    """All groups, each given to one split, or None where no division was found.

    Args:
        groups: In any order.
        sizes: As in `split_questions`, none of them 0.
        targets: As there.
        rng: Draws the divisions.
    """
    for attempt in range(_ATTEMPTS):
        dealt: dict[Split, list[Group]] = {split: [] for split in sizes}
        for group in rng.sample(groups, len(groups)):
            # Whoever has the fewest for its size: each split gets one first, and all end near their shares.
            dealt[min(sizes, key=lambda split: len(dealt[split]) / sizes[split])].append(group)
        dealt = exchange_groups(dealt, sizes, targets, exponent=2 - attempt % 2)
        if all(sum(map(len, dealt[split])) >= size for split, size in sizes.items() if split not in targets):
            return dealt
    return None
