"""Several token sequences as one tree: what they begin with in common stands in it once.

The k likeliest answers to a question share most of their first tokens, and a batch of them is mostly padding where
their lengths differ. A tree has a row for every token that is not shared, and a mask says which rows come before which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Int
from torch import Tensor

TokenGrid: TypeAlias = Sequence[Sequence[Sequence[int]]]  # question → branch → token ids


@dataclass(frozen=True, slots=True)
class TokenTree:
    """n sequences for each of B questions, in R rows.

    Attributes:
        token_ids: Of the rows.
        valid: False at padding, which stands behind a question's own rows.
        depths: How many tokens of its sequences stand before each row.
        ancestors: True where a column stands before a row in a sequence, or is the row itself.
        paths: The rows of each sequence; none for an empty one.
    """

    token_ids: Int[Tensor, "batch rows"]
    valid: Bool[Tensor, "batch rows"]
    depths: Int[Tensor, "batch rows"]
    ancestors: Bool[Tensor, "batch rows rows"]
    paths: Bool[Tensor, "batch sequences rows"]

    @classmethod
    def of(cls, sequences: TokenGrid, padding: int, device: torch.device) -> "TokenTree":
        """Build the trees of B questions; a question with fewer than n sequences has empty ones.

        Args:
            sequences: Token ids by question and sequence.
            padding: Token id of the rows behind a question's own.
            device: Of the tensors.
        """
        trees = [_rows(own) for own in sequences]
        batch, n = len(trees), max(len(paths) for _, paths in trees)
        size = max(len(tokens) for tokens, _ in trees)
        token_ids = torch.full((batch, size), padding)
        valid, paths = torch.zeros(batch, size, dtype=torch.bool), torch.zeros(batch, n, size, dtype=torch.bool)
        ancestors = torch.eye(size, dtype=torch.bool).repeat(batch, 1, 1)
        for i, (tokens, own_paths) in enumerate(trees):
            token_ids[i, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
            valid[i, : len(tokens)] = True
            for j, path in enumerate(own_paths):
                paths[i, j, path] = True
                for depth, row in enumerate(path):
                    ancestors[i, row, path[:depth]] = True
        depths = ancestors.sum(-1) - 1
        return cls(*(tensor.to(device) for tensor in (token_ids, valid, depths, ancestors, paths)))


def _rows(sequences: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """The tokens of a tree's rows, and the rows of each sequence; a row comes after those it continues."""
    tokens: list[int] = []
    paths: list[list[int]] = []
    children: dict[tuple[int, int], int] = {}  # (row, token that follows) → its row; -1 is the root
    for sequence in sequences:
        path: list[int] = []
        for token in sequence:
            key = (path[-1] if path else -1, token)
            if key not in children:
                children[key] = len(tokens)
                tokens.append(token)
            path.append(children[key])
        paths.append(path)
    return tokens, paths
