"""Attention over a tree: what all branches of a question share is attended to once, for all of their rows together.

The pass of n branches over A new tokens each has n·A rows per question. A plain mask over all stored and new keys makes
every row attend to every branch and throws most of it away. Here a row attends to the prompt, whose keys are neither
expanded over grouped heads nor copied, and to its own branch; the two are merged by their log-sum-exps. Registered as
an attention function of transformers, so it serves every model that takes its attention from there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from aspire_llm.lm.cpu.attention_kernels import attend, attend_backward, merge, query_backward
from aspire_llm.lm.masks import additive
from aspire_llm.lm.upstream import exchange_attention, restore_attention, sdpa_attention_forward

_NAME = "aspire_tree"


@runtime_checkable
class StoredLayer(Protocol):
    """Keys and values of one layer."""

    keys: Float[Tensor, "batch heads slots width"]
    values: Float[Tensor, "batch heads slots width"]


@dataclass(frozen=True, slots=True)
class TreePass:
    """Who attends to what in one pass of n branches over A new tokens each, for each of B questions.

    Attributes:
        layers: What is stored, by layer.
        num_branches: n.
        prompt_slots: P, the first stored slots, which every branch sees but for padding.
        prompt_mask: Additive; None where nothing is padded.
        own_slots: Further stored slots of each branch, M by M, indices from P on; None where there are none.
        own_mask: Additive, over those and the branch's new tokens; None where M = 0 and the new tokens follow
            each other.
    """

    layers: Sequence[StoredLayer]
    num_branches: int
    prompt_slots: int
    prompt_mask: Float[Tensor, "batch 1 1 prompt"] | None
    own_slots: Int[Tensor, "batch own_slots"] | None
    own_mask: Float[Tensor, "all_branches 1 new own_and_new"] | None

    @classmethod
    def plan(
        cls,
        layers: Sequence[StoredLayer],
        sees: Bool[Tensor, "batch branches stored"],
        prompt_slots: int,
        among: Bool[Tensor, "batch branches new new"] | None,
        dtype: torch.dtype,
    ) -> "TreePass":
        """The pass of branches that see the stored slots `sees`.

        Args:
            layers: What is stored, by layer.
            sees: Of each branch.
            prompt_slots: P.
            among: Which new tokens a new token of its branch sees, None where they simply
                follow each other and no branch has slots beyond the prompt.
            dtype: Of the masks.
        """
        n = sees.shape[1]
        prompt, further = sees[:, :1, :prompt_slots], sees[:, :, prompt_slots:]
        prompt_mask = None if prompt.all() else additive(prompt[:, None], dtype)
        if among is None:
            return cls(layers, n, prompt_slots, prompt_mask, None, None)
        most = int(further.sum(-1).max()) if further.shape[-1] else 0
        slots = further.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[..., :most]
        seen = further.gather(-1, slots)[:, :, None].expand(-1, -1, among.shape[-1], -1)
        own_mask = additive(torch.cat([seen, among], dim=-1).flatten(0, 1)[:, None], dtype)
        return cls(layers, n, prompt_slots, prompt_mask, slots.flatten(1) if most else None, own_mask)


# The pass that the model is in; where there is none, the mask counts that the model is called with.
_CURRENT: ContextVar[TreePass | None] = ContextVar("current tree pass", default=None)


@contextmanager
def entered(tree: TreePass | None) -> Iterator[None]:
    """Attention within is that of `tree`."""
    token = _CURRENT.set(tree)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def install(model: PreTrainedModel) -> bool:
    """Exchange the attention function of a model; False where it cannot be exchanged."""
    return exchange_attention(model, _NAME, tree_attention)


def uninstall(model: PreTrainedModel) -> None:
    """Undo `install`."""
    restore_attention(model, _NAME)


def tree_attention(
    module: nn.Module,
    query: Float[Tensor, "batch heads rows width"],
    key: Float[Tensor, "batch key_heads keys width"],
    value: Float[Tensor, "batch key_heads keys value_width"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "batch rows heads value_width"], None]:
    """The attention function, as transformers calls it.

    Within a `TreePass`, key and value are those of the new tokens alone, and the mask is ignored; elsewhere it is
    scaled dot-product attention as transformers calls it.
    """
    tree = _CURRENT.get()
    if tree is None:
        ungrouped = key.shape[1] == query.shape[1]
        if ungrouped or attention_mask is None or attention_mask.shape[2] != query.shape[2]:
            plain: tuple[Tensor, None] = sdpa_attention_forward(
                module, query, key, value, attention_mask, scaling=scaling, **kwargs
            )
            return plain
        return _grouped(query, key, value, attention_mask, scaling).transpose(1, 2), None
    groups = query.shape[1] // key.shape[1]
    if tree.prompt_slots == 0:  # nothing is stored: one sequence per question, its padding at the end
        output = nn.functional.scaled_dot_product_attention(
            query, _expanded(key, groups), _expanded(value, groups), is_causal=True, scale=scaling
        )
        return output.transpose(1, 2), None
    stored = tree.layers[cast(int, module.layer_idx)]
    own_key = _expanded(_own(stored.keys, key, tree), groups)
    own_value = _expanded(_own(stored.values, value, tree), groups)
    prompt = slice(tree.prompt_slots)
    merged: Tensor = _PromptAndOwn.apply(  # type: ignore[no-untyped-call]
        query, own_key, own_value, stored.keys[:, :, prompt], stored.values[:, :, prompt], tree, scaling
    )
    return merged.transpose(1, 2), None


def _grouped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    """Masked attention with the heads of a group as further rows, so that no key is expanded."""
    groups = query.shape[1] // key.shape[1]
    output = nn.functional.scaled_dot_product_attention(
        _folded(query, groups), key, value, attn_mask=mask.repeat(1, 1, groups, 1), scale=scaling
    )
    return output.reshape(query.shape)


def _folded(query: Tensor, groups: int) -> Tensor:
    """`[B, heads, R, D]` to `[B, key heads, groups * R, D]`."""
    batch, heads, rows, width = query.shape
    return query.reshape(batch, heads // groups, groups * rows, width)


def _expanded(states: Tensor, groups: int) -> Tensor:
    return states if groups == 1 else states.repeat_interleave(groups, dim=1)


def _own(stored: Tensor, new: Tensor, tree: TreePass) -> Tensor:
    """Keys or values of each branch, `[B * n, heads, M + A, D]`: its stored slots beyond the prompt, then its new."""
    new = _by_branch(new, tree.num_branches)
    if tree.own_slots is None:
        return new
    slots = (tree.own_slots + tree.prompt_slots)[:, None, :, None].expand(-1, stored.shape[1], -1, stored.shape[-1])
    return torch.cat([_by_branch(stored.gather(2, slots), tree.num_branches), new], dim=2)


def _by_branch(states: Tensor, n: int) -> Tensor:
    """`[B, heads, n * A, D]` to `[B * n, heads, A, D]`."""
    batch, heads, rows, width = states.shape
    return states.view(batch, heads, n, rows // n, width).transpose(1, 2).reshape(batch * n, heads, rows // n, width)


def _by_question(states: Tensor, n: int) -> Tensor:
    """`[B * n, heads, A, …]` to `[B, heads, n * A, …]`."""
    states = states.view(-1, n, *states.shape[1:]).transpose(1, 2)
    return states.reshape(*states.shape[:2], n * states.shape[3], *states.shape[4:])


class _PromptAndOwn(torch.autograd.Function):
    """Attention to the prompt, which is constant, and to the own branch, as one softmax over both."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        own_key: Tensor,
        own_value: Tensor,
        prompt_key: Tensor,
        prompt_value: Tensor,
        tree: TreePass,
        scale: float | None,
    ) -> Tensor:
        n, causal = tree.num_branches, tree.own_mask is None
        groups = query.shape[1] // prompt_key.shape[1]
        mask = _broadcast(tree, query, groups)
        prompt, prompt_lse = attend(_folded(query, groups), prompt_key, prompt_value, mask=mask, scale=scale)
        own, own_lse = attend(_by_branch(query, n), own_key, own_value, mask=tree.own_mask, causal=causal, scale=scale)
        output, lse = merge(
            (_by_question(own, n), _by_question(own_lse, n)),
            (prompt.reshape(query.shape), prompt_lse.reshape(query.shape[:3])),
        )
        ctx.save_for_backward(query, own_key, own_value, prompt_key, prompt_value, output, lse)
        ctx.tree, ctx.scale = tree, scale
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, own_key, own_value, prompt_key, prompt_value, output, lse = ctx.saved_tensors
        tree, scale = ctx.tree, ctx.scale
        n, groups = tree.num_branches, query.shape[1] // prompt_key.shape[1]
        gradient, folded, whole = (_folded(tensor, groups) for tensor in (gradients[0], query, output))
        from_prompt = query_backward(
            gradient,
            folded,
            prompt_key,
            prompt_value,
            (whole, lse.reshape(whole.shape[:3])),
            mask=_broadcast(tree, query, groups),
            scale=scale,
        )
        gradient, folded, whole = (_by_branch(tensor, n) for tensor in (gradients[0], query, output))
        from_own, key_gradient, value_gradient = attend_backward(
            gradient,
            folded,
            own_key,
            own_value,
            (whole, _by_branch(lse[..., None], n)[..., 0]),
            mask=tree.own_mask,
            causal=tree.own_mask is None,
            scale=scale,
        )
        query_gradient = from_prompt.reshape(query.shape) + _by_question(from_own, n)
        return query_gradient, key_gradient, value_gradient, None, None, None, None


def _broadcast(tree: TreePass, query: Tensor, groups: int) -> Tensor | None:
    """The prompt's mask over all rows of all heads; no memory."""
    if tree.prompt_mask is None:
        return None
    return tree.prompt_mask.expand(-1, -1, groups * query.shape[2], -1)
