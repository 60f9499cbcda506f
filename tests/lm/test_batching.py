"""Batches of like length, and runs within a budget."""

import itertools
import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aspire_llm.errors import ModelError
from aspire_llm.lm.batching import by_length, length_batches, parts_of, split_by_budget

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=60)


@given(lengths, st.integers(1, 9), st.integers(0, 3))
def test_every_item_is_in_one_batch_and_batches_are_alike(own: list[int], size: int, seed: int) -> None:
    batches = length_batches(own, size, seed=seed)
    assert sorted(i for batch in batches for i in batch) == list(range(len(own)))
    assert all(len(batch) == size for batch in batches[:-1])
    ends = [(min(own[i] for i in batch), max(own[i] for i in batch)) for batch in batches]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ends))


def test_which_equally_long_items_go_together_is_drawn() -> None:
    assert length_batches([5] * 40, 4, seed=0) != length_batches([5] * 40, 4, seed=1)


@given(lengths, st.integers(1, 200))
def test_runs_keep_to_the_budget_and_are_no_shorter_than_need_be(own: list[int], budget: int) -> None:
    batch = sorted(range(len(own)), key=own.__getitem__)
    runs = split_by_budget(batch, own, budget)
    assert [i for run in runs for i in run] == batch
    assert all(len(run) == 1 or len(run) * max(own[i] for i in run) <= budget for run in runs)
    for run, following in itertools.pairwise(runs):
        longer = [*run, following[0]]
        assert len(longer) * max(own[i] for i in longer) > budget


def test_padding_is_below_a_tenth_where_lengths_vary_as_they_do() -> None:
    own = [20 + (i * 7919) % 400 for i in range(1000)]
    batches = length_batches(own, 8, seed=0)
    padded = sum(len(batch) * max(own[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(own)


def full_beyond(positions: int, own: list[int], sizes: list[int]):
    """Computes twice the length of each item, as a GPU that holds so many positions would."""

    def compute(indices):
        sizes.append(len(indices))
        if sum(own[i] for i in indices) > positions:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return [2 * own[i] for i in indices]

    return compute


def test_where_memory_runs_out_batches_are_halved(caplog: pytest.LogCaptureFixture) -> None:
    own, sizes = [30, 1, 2, 3, 40, 5, 4, 20], []
    with caplog.at_level(logging.WARNING, logger="aspire_llm"):
        assert by_length(own, 4, full_beyond(60, own, sizes)) == [60, 2, 4, 6, 80, 10, 8, 40]
    assert sizes == [4, 4, 2, 2, 1, 1]  # 1 2 3 4; 5 20 30 40 are too many, then 5 20; 30 40 are, too
    assert [record.getMessage() for record in caplog.records] == [
        "out of memory with 4 at once: 2 from here on",
        "out of memory with 2 at once: 1 from here on",
    ]


def test_an_item_that_does_not_fit_alone_is_an_error_in_one_line() -> None:
    with pytest.raises(ModelError, match="out of memory with one question alone"):
        by_length([1, 100], 2, full_beyond(60, [1, 100], []))


def test_other_errors_are_what_they_are() -> None:
    def broken(_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        by_length([1, 2], 2, broken)


@given(st.lists(st.lists(st.integers(), max_size=9), max_size=5), st.integers(1, 5))
def test_parts_hold_the_same_items_in_their_order(passes: list[list[int]], most: int) -> None:
    parts = parts_of(passes, most)
    assert [i for part in parts for i in part] == [i for part in passes for i in part]
    assert all(0 < len(part) <= most for part in parts)
