"""Who may see whom, as tensors: boolean while it is reasoned about, additive where a model takes it."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def additive(mask: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """A boolean mask as one that is added to scores: 0 where True."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def ends(valid: Bool[Tensor, "batch branches new"]) -> Bool[Tensor, "batch branches new"]:
    """The last valid token of every branch."""
    return (valid.cumsum(-1) == valid.sum(-1, keepdim=True)) & valid


def own_slots(flags: Bool[Tensor, "batch branches new"]) -> Bool[Tensor, "batch branches branches*new"]:
    """Flags of n branches' A new tokens over the n · A slots that these get."""
    n = flags.shape[1]
    return (torch.eye(n, dtype=torch.bool, device=flags.device)[..., None] & flags[:, None]).flatten(2)


def dense_mask(
    sees: Bool[Tensor, "batch branches stored"],
    valid: Bool[Tensor, "batch branches new"],
    among: Bool[Tensor, "batch branches new new"],
) -> Bool[Tensor, "batch branches*new stored+branches*new"]:
    """The mask of one pass of n branches over A new tokens each.

    Args:
        sees: Stored slots that each branch sees.
        valid: False at padding.
        among: Which new tokens a new token of its branch sees.

    Returns:
        True where a new token may see a stored slot or a new token.
    """
    batch, n, length = valid.shape
    rows = n * length
    before = sees[:, :, None].expand(-1, -1, length, -1)
    # A pad sees itself: a softmax over nothing is NaN, and 0 · NaN would reach every row.
    itself = torch.eye(length, dtype=torch.bool, device=valid.device)
    own = (among & valid[:, :, :, None]) | itself  # [B, n, A, A]
    same_branch = torch.eye(n, dtype=torch.bool, device=valid.device)[:, None, :, None]
    new = same_branch & own[:, :, :, None]  # [B, n, A, n, A]
    return torch.cat([before.reshape(batch, rows, -1), new.reshape(batch, rows, rows)], dim=-1)
