"""Keys and values computed once and shared by everything that continues them.

What belongs to what is in the mask alone: no step copies, expands or reorders slots.
"""

import logging
from contextlib import nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aspire_llm.lm.cache.protocol import BranchCache, Branches, Embeddings, Flags, Logits
from aspire_llm.lm.cache.slots import SlotLayer
from aspire_llm.lm.cache.token_tree import TokenTree
from aspire_llm.lm.cpu import FastPaths
from aspire_llm.lm.masks import dense_mask
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.upstream import Cache

_logger = logging.getLogger(__name__)


class PrefixCache(BranchCache):
    """Keys and values of B questions, filled by `extend`.

    Args:
        backbone: The model whose keys and values these are.
        batch_size: B.
        capacity: Slots to allocate at first; the buffers double when they are full.
    """

    def __init__(self, backbone: Backbone, batch_size: int, capacity: int = 64) -> None:
        super().__init__(backbone, batch_size)
        self._layers = [SlotLayer(capacity) for _ in range(backbone.num_layers)]
        self._cache = Cache(layers=list(self._layers))
        self._prompt_slots = 0
        self._positions = torch.zeros(batch_size, 0, dtype=torch.long, device=backbone.device)  # of the slots

    def extend(
        self, branches: Branches, embeddings: Embeddings, valid: Flags, logits_at: Flags | None
    ) -> tuple[Logits, Branches]:
        wanted = torch.zeros_like(valid) if logits_at is None else logits_at
        with torch.no_grad():
            logits = self._pass(branches, embeddings, valid, wanted, keep=True)
        extended = branches.after(valid, self.num_slots)
        self._add_slots(_new_positions(branches, valid))
        self._prompt_slots = self._prompt_slots or self.num_slots
        return logits, extended

    def extend_by_tree(
        self, branches: Branches, embeddings: Float[Tensor, "batch rows dim"], tree: TokenTree
    ) -> Branches:
        valid = tree.valid[:, None]
        if valid.numel():  # else all sequences are empty
            with torch.no_grad():
                self._pass(branches, embeddings[:, None], valid, torch.zeros_like(valid), keep=True, tree=tree)
        extended = branches.after_tree(tree, self.num_slots)
        self._add_slots(_new_positions(branches, valid, tree))
        return extended

    def prompts_end(self) -> None:
        self._prompt_slots = self.num_slots

    def look_ahead(self, branches: Branches, embeddings: Embeddings, valid: Flags, logits_at: Flags) -> Logits:
        return self._pass(branches, embeddings, valid, logits_at, keep=False)

    def select(self, questions: Int[Tensor, " questions"], room: int = 0) -> "PrefixCache":
        selected = PrefixCache(self.backbone, len(questions))
        selected.num_slots, selected._prompt_slots = self.num_slots, self._prompt_slots
        selected._positions = self._positions[questions]
        for mine, theirs in zip(self._layers, selected._layers, strict=True):
            theirs.copy_rows(mine, questions, room)
        return selected

    def by_branch(self, output: Float[Tensor, "sequences rows dim"], branches: Branches) -> Embeddings:
        return output.view(*branches.positions.shape, -1, output.shape[-1])

    @property
    def num_bytes(self) -> int:
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self._layers if layer.is_initialized)

    def _pass(
        self,
        branches: Branches,
        embeddings: Tensor,
        valid: Tensor,
        logits_at: Tensor,
        *,
        keep: bool,
        tree: TokenTree | None = None,
    ) -> Tensor:
        batch, n, length, width = embeddings.shape
        sees = branches.over(self.num_slots)
        positions = _new_positions(branches, valid, tree)
        slides = self.backbone.slides_at(positions)
        # With one token per branch nearly everything is stored, and one masked product over all of it is as fast.
        as_tree = (length > 1 or not self.num_slots) and not slides and takes_trees(self.backbone)
        for layer in self._layers:
            layer.keep, layer.whole = keep, not as_tree
        if tree is None:
            among = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril().expand(batch, n, -1, -1)
        else:
            among = tree.ancestors[:, None]
        fast = self.backbone.fast
        if fast is not None and as_tree:
            follows = tree is None and self.num_slots == self._prompt_slots
            attention = fast.tree_attention(self._layers, sees, self._prompt_slots, None if follows else among)
            mask = torch.ones_like(valid[:, :1, :1])  # which nothing looks at
        else:
            attention, mask = nullcontext(), dense_mask(sees, valid, among)
        with attention:
            return self.backbone.forward(
                embeddings.reshape(batch, n * length, width),
                mask=mask,
                positions=positions,
                logits_at=logits_at.reshape(batch, n * length),
                cache=self._cache,
                near=self._near(mask, positions) if slides else None,
            )

    def _near(self, mask: Tensor, positions: Tensor) -> Tensor:
        """`mask`, `[B, R, L + R]`, of the layers that see their sliding window alone."""
        assert self.backbone.sliding_window is not None
        distance = positions[..., None] - torch.cat([self._positions, positions], dim=-1)[:, None]
        return mask & (distance < self.backbone.sliding_window)

    def _add_slots(self, positions: Tensor) -> None:
        self._positions = torch.cat([self._positions, positions], dim=-1)
        self.num_slots = self._positions.shape[-1]


def takes_trees(backbone: Backbone) -> bool:
    """Whether passes of branches may use the attention over a tree of `lm/cpu`: tried once, on a small tree.

    Where they cannot (`speed` is plain, the model has its own attention, or another device's kernels are needed), every
    pass has a mask over all slots: the same results, more slowly.
    """
    fast = backbone.fast
    if fast is None:
        return False
    if fast.takes_trees is None:
        try:
            fast.takes_trees = fast.exchange_attention() and _same_on_a_tree(backbone, fast)
        except RuntimeError:  # heads of unequal widths, and what else such a model may do
            fast.takes_trees = False
        if not fast.takes_trees:
            fast.restore_attention()
            kind = backbone.model.config.model_type
            _logger.warning("attention of %r on %s: one masked product per pass", kind, backbone.device.type)
    return fast.takes_trees


@torch.no_grad()
def _same_on_a_tree(backbone: Backbone, fast: FastPaths) -> bool:
    """Logits of prompts of two lengths, of two branches on each, and of a look-ahead: as a tree and with a mask."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(backbone.model.config.get_text_config().vocab_size, (2, 2, 4), generator=generator)
    embeddings = backbone.embed(rows)
    valid = torch.tensor([4, 2])[:, None, None] > torch.arange(4)
    logits: list[Tensor] = []
    for fast.takes_trees in (True, False):
        cache = PrefixCache(backbone, 2)
        first, branches = cache.extend(cache.root(), embeddings[:, :1], valid, valid)
        branches = branches.select(torch.zeros(2, 2, dtype=torch.long))
        everywhere = valid.expand(-1, 2, -1)
        second, branches = cache.extend(branches, embeddings, everywhere, everywhere)
        third = cache.look_ahead(branches, embeddings, everywhere, everywhere)
        logits.append(torch.cat([first, second, third]))
    return backbone.same_logits(*logits)


def _new_positions(branches: Branches, valid: Tensor, tree: TokenTree | None = None) -> Tensor:
    """Positions of new tokens, `[B, n * A]`; pads, which nobody sees, repeat a neighbour's."""
    depths = (valid.cumsum(-1) - 1).clamp(min=0) if tree is None else tree.depths[:, None]
    return (branches.positions[..., None] + depths).flatten(1)
