"""Splits: exact sizes, no shared group, one result for one seed."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aspire_llm.data import split_questions
from aspire_llm.errors import DataError
from aspire_llm.records import Question, Split


def grouped(*sizes: int) -> list[Question]:
    return [Question(f"{g}-{i}", "?", group=f"group{g}") for g, size in enumerate(sizes) for i in range(size)]


def split_sizes(*sizes: int) -> dict[Split, int]:
    return dict(zip(Split, sizes, strict=False))


def assert_valid(splits: dict[Split, tuple[Question, ...]], sizes: dict[Split, int], questions: list[Question]) -> None:
    assert {split: len(chosen) for split, chosen in splits.items()} == sizes
    ids = Counter(question.id for chosen in splits.values() for question in chosen)
    assert set(ids.values()) <= {1}
    assert set(ids) <= {question.id for question in questions}
    groups = [{question.group for question in chosen} for chosen in splits.values()]
    assert sum(map(len, groups)) == len(set().union(*groups))


@settings(max_examples=60)
@given(
    groups=st.lists(st.integers(1, 12), min_size=20, max_size=60),
    shares=st.lists(st.integers(0, 20), min_size=4, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_sizes_are_exact_and_groups_disjoint(groups: list[int], shares: list[int], seed: int) -> None:
    """Four splits waste less than one group each: whatever leaves that much free must succeed."""
    questions = grouped(*groups)
    free = 4 * max(groups)
    sizes = split_sizes(*(share * max(0, len(questions) - free) // 80 for share in shares))
    splits = split_questions(questions, sizes, seed=seed)
    assert_valid(splits, sizes, questions)
    shuffled = random.Random(1).sample(questions, len(questions))
    assert split_questions(shuffled, sizes, seed=seed) == splits


@given(n=st.integers(4, 200), data=st.data(), seed=st.integers())
def test_ungrouped_questions_can_all_be_used(n: int, data: st.DataObject, seed: int) -> None:
    """Without groups (each question its own, also where the field is empty) any sizes up to all there are work."""
    questions = [Question(str(i), "?") for i in range(n)]
    cuts = sorted(data.draw(st.lists(st.integers(0, n), min_size=3, max_size=3)))
    sizes = split_sizes(cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], n - cuts[2])
    splits = split_questions(questions, sizes, seed=seed)
    assert {split: len(chosen) for split, chosen in splits.items()} == sizes
    assert len({question.id for chosen in splits.values() for question in chosen}) == n


def test_seeds_differ() -> None:
    questions = grouped(*[1] * 100)
    one, same, other = (split_questions(questions, split_sizes(50, 50), seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_a_cut_group_is_dropped_not_moved() -> None:
    splits = split_questions(grouped(10, 10), split_sizes(7, 6), seed=3)
    assert [len({question.group for question in chosen}) for chosen in splits.values()] == [1, 1]
    assert_valid(splits, split_sizes(7, 6), grouped(10, 10))


@pytest.mark.parametrize("seed", range(5))
def test_one_huge_group_goes_to_the_split_it_fits(seed: int) -> None:
    questions = grouped(1000, *[5] * 40)
    sizes = split_sizes(1000, 50, 50, 90)
    assert_valid(split_questions(questions, sizes, seed=seed), sizes, questions)


@pytest.mark.parametrize("seed", range(5))
def test_a_division_that_balance_alone_would_miss(seed: int) -> None:
    """5 + 4 and 3 + 3 + 3 is the only way to give both splits 9."""
    questions = grouped(5, 4, 3, 3, 3)
    sizes = split_sizes(9, 9)
    assert_valid(split_questions(questions, sizes, seed=seed), sizes, questions)


def test_divisions_without_a_question_to_spare() -> None:
    """Sizes that a division of the groups has to the question; there may be no other one."""
    rng = random.Random(7)
    for seed in range(60):
        lengths = [rng.randint(1, 12) for _ in range(rng.randint(15, 40))]
        places = [*range(4), *(rng.randrange(4) for _ in lengths[4:])]
        sizes = split_sizes(*(sum(n for n, own in zip(lengths, places, strict=True) if own == k) for k in range(4)))
        assert_valid(split_questions(grouped(*lengths), sizes, seed=seed), sizes, grouped(*lengths))


def test_targets_may_be_missed_and_whole_numbers_may_not() -> None:
    """Ten groups of 8: 33, 17 and 17 would take five, three and three of them."""
    questions, sizes = grouped(*[8] * 10), split_sizes(33, 17, 17)
    with pytest.raises(DataError, match=r"none of which may stand in two splits; .* can be had$"):
        split_questions(questions, sizes, seed=0)
    splits = split_questions(questions, sizes, targets=[Split.TRAIN], seed=0)
    assert_valid(splits, split_sizes(32, 17, 17), questions)
    splits = split_questions(questions, sizes, targets=[Split.VALIDATION], seed=0)
    assert_valid(splits, split_sizes(33, 16, 17), questions)


def test_forty_eight_articles_as_in_squad() -> None:
    """Group sizes of SQuAD v1.1 dev; 98% of it asked for, in splits of very unequal size."""
    articles = [96, 98, 104, 106, 106, 108, 108, 112, 112, 113, 116, 124, 129, 136, 153, 172, 176, 180, 182, 183]
    articles += [187, 189, 191, 197, 197, 200, 206, 215, 217, 228, 231, 238, 242, 243, 245, 247, 247, 264, 268, 291]
    articles += [295, 295, 297, 319, 407, 479, 511, 810]
    questions = grouped(*articles)
    assert len(questions) == 10_570
    for seed in range(10):
        for sizes in (split_sizes(10_000, 100, 100, 100), split_sizes(2_575, 2_575, 2_575, 2_575)):
            assert_valid(split_questions(questions, sizes, seed=seed), sizes, questions)


@pytest.mark.parametrize(
    ("groups", "sizes", "message"),
    [
        ((2, 3), (4, 2),
         "splits of 4 train + 2 validation = 6 questions were asked for, and there are 5 (in 2 groups); ask for fewer"),
        ((10,), (5, 5),
         "splits of 5 train + 5 validation = 10 questions were asked for, and the 10 there are stand in 1 groups (the "
         "largest of 10), none of which may stand in two splits; 5 train + 0 validation can be had"),
        ((10,), (5, -1), "splits of 5 train + -1 validation = 4 questions were asked for; no size may be negative"),
        ((), (1,), "splits of 1 train = 1 questions were asked for, and there are 0 (in 0 groups); ask for fewer"),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_met(groups: tuple[int, ...], sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        split_questions(grouped(*groups), split_sizes(*sizes), seed=0)


def test_size_zero_and_nothing_asked() -> None:
    assert split_questions(grouped(2), {Split.TEST: 0}, seed=0) == {Split.TEST: ()}
    assert split_questions([], {}, seed=0) == {}
