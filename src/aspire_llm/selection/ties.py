"""Blocks of tied scores, the ground that every metric stands on.

A threshold cannot split answers with equal scores, and their order among themselves means nothing. So the metrics see
the answers as blocks: most confident first, each with its number of answers and of correct ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TieBlocks:
    """The order of n answers by confidence, cut where the score changes.

    Attributes:
        order: Indices of the answers, most confident first; int[n].
        starts: Where in `order` each of the b blocks begins; int[b].
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def sums(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Sums of an integer or boolean quantity over each block: [..., n] → [..., b]."""
        in_order = values[..., self.order].astype(np.int64, copy=False)
        return in_order if len(self.starts) == len(self.order) else np.add.reduceat(in_order, self.starts, axis=-1)


def tie_blocks(score: NDArray[np.float64]) -> TieBlocks:
    """Cut answers into blocks of equal score; `score` is float[n] with n ≥ 1, free of NaN, higher = more confident."""
    order = np.argsort(-score, kind="stable")
    in_order = score[order]
    # Comparing neighbours rather than subtracting them keeps a block of −inf together.
    starts = np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1])))
    return TieBlocks(order, starts)


def has_both_kinds(sizes: NDArray[np.int64], hits: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether there are right answers and wrong ones, so that AUROC is defined; [..., b] blocks → [...]."""
    right, answers = hits.sum(axis=-1), sizes.sum(axis=-1)
    both: NDArray[np.bool_] = (right > 0) & (right < answers)
    return both


def auroc_of_blocks(sizes: NDArray[np.int64], hits: NDArray[np.int64]) -> NDArray[np.float64]:
    """AUROC = 1 − Σ_b hits_b·(wrong above b + wrong in b / 2) / (right·wrong); [..., b] blocks of both kinds → [...].

    Args:
        sizes: Answers of each block, most confident first.
        hits: The correct ones among them.
    """
    wrong_in = sizes - hits
    pairs = hits.sum(axis=-1) * wrong_in.sum(axis=-1)
    twice_above = 2 * np.cumsum(wrong_in, axis=-1) - wrong_in
    area: NDArray[np.float64] = (pairs - np.einsum("...b,...b", hits, twice_above) / 2) / pairs
    return area
