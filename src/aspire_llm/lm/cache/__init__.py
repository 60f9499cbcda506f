"""What was read, kept for everything that continues it: `new_cache` gives a model the cache that it takes."""

from aspire_llm.lm.cache.expanded import ExpandedCache, check_readable
from aspire_llm.lm.cache.prefix import PrefixCache
from aspire_llm.lm.cache.protocol import BranchCache, Branches
from aspire_llm.lm.cache.token_tree import TokenGrid, TokenTree
from aspire_llm.lm.model import Backbone

__all__ = ["BranchCache", "Branches", "TokenGrid", "TokenTree", "check_readable", "new_cache"]


def new_cache(backbone: Backbone, batch_size: int, capacity: int = 64) -> BranchCache:
    """The cache that a model takes: shared prefixes, or expanded branches where they cannot share one.

    Args:
        backbone: The model.
        batch_size: Number of questions.
        capacity: Slots to allocate at first.

    Raises:
        ModelError: Neither computes what the model computes for a sequence alone.
    """
    check_readable(backbone)
    if backbone.shares_prefixes:
        return PrefixCache(backbone, batch_size, capacity)
    return ExpandedCache(backbone, batch_size)
