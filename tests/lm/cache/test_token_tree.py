"""Sequences as a tree: by hand, and as what each sequence says by itself."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from aspire_llm.lm.cache.token_tree import TokenTree

CPU = torch.device("cpu")
sequences = st.lists(st.lists(st.lists(st.integers(1, 3), max_size=5), min_size=1, max_size=6), min_size=1, max_size=3)


def test_by_hand() -> None:
    # "a b", "a c", "", "a b" again, "c": rows a, b, c (after a), c (at the root).
    tree = TokenTree.of([[[1, 2], [1, 3], [], [1, 2], [3]], [[7]]], padding=0, device=CPU)
    assert tree.token_ids.tolist() == [[1, 2, 3, 3], [7, 0, 0, 0]]
    assert tree.valid.tolist() == [[True] * 4, [True, False, False, False]]
    assert tree.depths.tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]
    assert tree.ancestors[0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert tree.paths[0].int().tolist() == [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
    assert tree.paths[1].int().tolist() == [[1, 0, 0, 0], *[[0, 0, 0, 0]] * 4]


@given(sequences)
def test_every_path_is_its_sequence_and_every_prefix_stands_once(own: list[list[list[int]]]) -> None:
    tree = TokenTree.of(own, padding=0, device=CPU)
    for i, group in enumerate(own):
        for j, sequence in enumerate(group):
            path = tree.paths[i, j].nonzero()[:, 0].tolist()
            assert tree.token_ids[i, path].tolist() == sequence
            for depth, row in enumerate(path):
                assert tree.depths[i, row] == depth
                assert tree.ancestors[i, row].nonzero()[:, 0].tolist() == path[: depth + 1]
        prefixes = {tuple(sequence[: k + 1]) for sequence in group for k in range(len(sequence))}
        assert int(tree.valid[i].sum()) == len(prefixes)
