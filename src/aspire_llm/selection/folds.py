"""Items dealt into parts such that no group stands in two of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def deal_groups(groups: Sequence[str], shares: Sequence[float], *, seed: int) -> NDArray[np.int64]:
    """A part for each item, `[n]`, such that no group stands in two parts and their sizes are nearly as the shares.

    Args:
        groups: Of the items.
        shares: Of the parts.
        seed: Of the order in which groups of one size are dealt.
    """
    rng = np.random.default_rng(seed)
    names, members, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-counts[order], kind="stable")]  # the largest first, so that the rest evens them out
    sizes, part_of = np.zeros(len(shares), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for name in order:
        part_of[name] = np.argmin(sizes / np.asarray(shares))
        sizes[part_of[name]] += counts[name]
    parts: NDArray[np.int64] = part_of[members]
    return parts
