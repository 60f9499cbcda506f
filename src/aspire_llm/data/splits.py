"""Splits of given sizes that share no group."""

import random
from collections.abc import Iterable, Mapping, Sequence

from aspire_llm.errors import DataError
from aspire_llm.records import Question, Split

_ATTEMPTS = 50

Group = tuple[Question, ...]


def split_questions(
    questions: Iterable[Question], sizes: Mapping[Split, int], *, seed: int
) -> dict[Split, tuple[Question, ...]]:
    """Divide questions into splits of exactly the sizes asked for, no group standing in two of them.

    The groups are shuffled, then handed out one by one, each to the split that has the smallest share of its size so
    far among those it fits into whole. The rest of a split is filled from a group that fits nowhere, cut to what is
    missing: what is cut off is dropped, never given to another split. So every split is a random sample of groups. If
    a few large groups make that impossible, other divisions are drawn, largest groups first.

    The result depends on the questions, the sizes and the seed, not on the order of the questions.

    Args:
        questions: The whole data set. A question without a group is its own.
        sizes: How many questions each split gets; 0 gives an empty split.
        seed: Of the shuffle.

    Raises:
        DataError: A size is negative, there are fewer questions than asked for, or no division was found because too
            few groups hold too many of the questions.
    """
    groups = _group(questions)
    available = sum(len(group) for group in groups)
    wanted = " + ".join(f"{size} {split}" for split, size in sizes.items())
    asked = f"splits of {wanted} = {sum(sizes.values())} questions were asked for"
    if any(size < 0 for size in sizes.values()):
        raise DataError(f"{asked}; no size may be negative")
    if sum(sizes.values()) > available:
        raise DataError(f"{asked}, and there are {available} (in {len(groups)} groups); ask for fewer")
    rng = random.Random(seed)
    for attempt in range(_ATTEMPTS):
        rng.shuffle(groups)
        splits = _allocate(groups, sizes, None if attempt == 0 else rng)
        if splits is not None:
            return splits
    raise DataError(
        f"{asked}, and the {available} there are stand in {len(groups)} groups (the largest of "
        f"{max(map(len, groups))}) that cannot be divided so, as no group may stand in two splits; ask for fewer"
    )


def _group(questions: Iterable[Question]) -> list[Group]:
    """The groups in the order of their names, each in the order of its ids."""
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.group or question.id, []).append(question)
    return [tuple(sorted(groups[name], key=lambda question: question.id)) for name in sorted(groups)]


def _allocate(
    groups: Sequence[Group], sizes: Mapping[Split, int], rng: random.Random | None
) -> dict[Split, tuple[Question, ...]] | None:
    """One way to hand out the groups, or None if a split stays short.

    Args:
        groups: In the order in which they are handed out.
        sizes: As in `split_questions`.
        rng: None for the balanced way; else the largest groups go first, each to a split drawn by what it lacks.
    """
    splits: dict[Split, list[Question]] = {split: [] for split in sizes}
    missing = dict(sizes)
    spare: list[Group] = []
    for group in groups if rng is None else sorted(groups, key=len, reverse=True):
        fitting = [split for split in sizes if missing[split] >= len(group)]
        if not fitting:
            spare.append(group)
            continue
        if rng is None:
            chosen = max(fitting, key=lambda split: missing[split] / sizes[split])
        else:
            chosen = rng.choices(fitting, [missing[split] for split in fitting])[0]
        splits[chosen] += group
        missing[chosen] -= len(group)
    for split in sorted(sizes, key=lambda split: missing[split], reverse=True):
        if missing[split] and spare:
            group = min(spare, key=len)  # any of them is larger than what is missing; the smallest wastes least
            spare.remove(group)
            splits[split] += group[: missing[split]]
            missing[split] = 0
    return None if any(missing.values()) else {split: tuple(chosen) for split, chosen in splits.items()}
