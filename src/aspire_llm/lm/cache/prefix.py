"""Keys and values computed once and shared by everything that continues them.

A row of the cache is a question. Its *slots* hold the soft prompt and the prompt, then the tokens of every
continuation (beams, sampled answers, verdict prompts) side by side. What belongs to what is in the mask alone: a
`Branches` says for n continuations of each question which slots they see and at which position they go on. No step
copies, expands or reorders slots.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import Cache

from aspire_llm.lm.cache.slots import AllStoredError, SlotLayer
from aspire_llm.lm.cache.token_tree import TokenTree
from aspire_llm.lm.cpu.tree_attention import TreePass, entered, install, uninstall
from aspire_llm.lm.model import Backbone

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Branches:
    """n continuations of each of B questions.

    Attributes:
        sees: Slots that the next token of each branch attends to, boolean `[B, n, L]`.
        positions: Position of the next token of each branch, `[B, n]`.
    """

    sees: Tensor
    positions: Tensor

    def select(self, indices: Tensor) -> "Branches":
        """The branches `[B, m]` of each question, in that order (repeats allowed)."""
        sees = self.sees.gather(1, indices[..., None].expand(-1, -1, self.sees.shape[-1]))
        return Branches(sees, self.positions.gather(1, indices))

    def of_questions(self, questions: Tensor) -> "Branches":
        """The branches of some questions, `[B']` row indices."""
        return Branches(self.sees[questions], self.positions[questions])


class PrefixCache:
    """The slots of B questions, filled by `extend`.

    Args:
        backbone: The model whose keys and values these are.
        batch_size: B.
        capacity: Slots to allocate at first; the buffers double when they are full.
    """

    def __init__(self, backbone: Backbone, batch_size: int, capacity: int = 64) -> None:
        self.backbone = backbone
        self._layers = [SlotLayer(capacity) for _ in range(backbone.num_layers)]
        self._cache = Cache(layers=list(self._layers))
        self.batch_size = batch_size
        self.num_slots = 0
        self._prompt_slots = 0
        self._positions = torch.zeros(batch_size, 0, dtype=torch.long, device=backbone.device)  # of the slots

    def root(self) -> Branches:
        """One branch a question that has seen nothing yet."""
        device = self.backbone.device
        return Branches(
            torch.zeros(self.batch_size, 1, 0, dtype=torch.bool, device=device),
            torch.zeros(self.batch_size, 1, dtype=torch.long, device=device),
        )

    def extend(
        self, branches: Branches, embeddings: Tensor, valid: Tensor, logits_at: Tensor | None
    ) -> tuple[Tensor, Branches]:
        """Continue every branch by A tokens in one pass and keep their keys and values; no gradient.

        The first pass reads prompts, one branch a question: every later branch continues its question's prompt.

        Args:
            branches: n branches of each question.
            embeddings: `[B, n, A, d]`.
            valid: False at padding, which stands right of the tokens, boolean `[B, n, A]`.
            logits_at: Tokens whose next-token logits are wanted, boolean `[B, n, A]`; None where none are.

        Returns:
            float32 logits `[number of True in logits_at, V]` in row-major order, and the branches after the tokens.
        """
        sees = torch.cat([self.up_to_date(branches.sees), own_slots(valid)], dim=-1)
        with torch.no_grad():
            logits = self._forward(branches, embeddings, valid, logits_at, keep=True)
        self.num_slots = sees.shape[-1]
        self._prompt_slots = self._prompt_slots or self.num_slots
        self._positions = torch.cat([self._positions, _new_positions(branches, valid)], dim=-1)
        return logits, Branches(sees, branches.positions + valid.sum(-1))

    def extend_by_tree(self, branches: Branches, embeddings: Tensor, tree: TokenTree) -> Branches:
        """Continue one branch a question by n sequences that share what they begin with; no logits, no gradient.

        Args:
            branches: One a question.
            embeddings: Of the tree's tokens, `[B, R, d]`.
            tree: The sequences.

        Returns:
            n branches a question, each after its sequence.
        """
        sees = self.up_to_date(branches.sees)
        if tree.valid.numel():  # else all sequences are empty
            with torch.no_grad():
                self._forward(branches, embeddings[:, None], tree.valid[:, None], None, keep=True, tree=tree)
        self.num_slots += tree.valid.shape[-1]
        self._positions = torch.cat([self._positions, _new_positions(branches, tree.valid[:, None], tree)], dim=-1)
        sees = torch.cat([sees.expand(-1, tree.paths.shape[1], -1), tree.paths], dim=-1)
        return Branches(sees, branches.positions + tree.paths.sum(-1))

    def prompts_end(self) -> None:
        """All slots so far are the prompts': where reading them took several passes, and there are no branches yet."""
        self._prompt_slots = self.num_slots

    def look_ahead(self, branches: Branches, embeddings: Tensor, valid: Tensor, logits_at: Tensor) -> Tensor:
        """The logits that `extend` would return, with nothing kept.

        Differentiable with respect to `embeddings` and to any active adapter; what the cache holds is constant.
        """
        return self._forward(branches, embeddings, valid, logits_at, keep=False)

    def _forward(
        self,
        branches: Branches,
        embeddings: Tensor,
        valid: Tensor,
        logits_at: Tensor | None,
        *,
        keep: bool,
        tree: TokenTree | None = None,
    ) -> Tensor:
        batch, n, length, width = embeddings.shape
        sees = self.up_to_date(branches.sees)
        positions = _new_positions(branches, valid, tree)
        slides = self.backbone.slides_at(positions)
        # With one token a branch nearly everything is stored, and one masked product over all of it is as fast.
        as_tree = (length > 1 or not self.num_slots) and not slides and takes_trees(self.backbone)
        for layer in self._layers:
            layer.keep, layer.whole = keep, not as_tree
        if tree is None:
            among = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril().expand(batch, n, -1, -1)
        else:
            among = tree.ancestors[:, None]
        planned = None
        if as_tree:
            follows = tree is None and sees.shape[-1] == self._prompt_slots
            planned = TreePass.plan(
                self._layers, sees, self._prompt_slots, None if follows else among, self.backbone.dtype
            )
        mask = _dense_mask(sees, valid, among) if planned is None else torch.ones_like(valid[:, :1, :1])
        # Where keys and values are all that is wanted, the last layer's are known before most of its work is done.
        self._layers[-1].ends_pass = logits_at is None
        logits = embeddings.new_empty(0, 0)
        with entered(planned), suppress(AllStoredError):
            logits = self.backbone.forward(
                embeddings.reshape(batch, n * length, width),
                mask=mask,
                positions=positions,
                logits_at=(valid if logits_at is None else logits_at).reshape(batch, n * length),
                cache=self._cache,
                near=self._near(mask, positions) if slides else None,
            )
        return logits

    def _near(self, mask: Tensor, positions: Tensor) -> Tensor:
        """`mask`, `[B, R, L + R]`, of the layers that see their sliding window alone."""
        assert self.backbone.sliding_window is not None
        distance = positions[..., None] - torch.cat([self._positions, positions], dim=-1)[:, None]
        return mask & (distance < self.backbone.sliding_window)

    def select(self, questions: Tensor, room: int = 0) -> "PrefixCache":
        """A copy that holds some of the questions, `[B']` row indices, in that order (repeats allowed).

        Args:
            questions: The rows.
            room: Slots to allocate beyond those that are used.
        """
        selected = PrefixCache(self.backbone, len(questions))
        selected.num_slots, selected._prompt_slots = self.num_slots, self._prompt_slots
        selected._positions = self._positions[questions]
        for mine, theirs in zip(self._layers, selected._layers, strict=True):
            theirs.copy_rows(mine, questions, room)
        return selected

    @property
    def num_bytes(self) -> int:
        """Memory of the keys and values."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self._layers if layer.is_initialized)

    def by_branch(self, output: Tensor, branches: Branches) -> Tensor:
        """What a layer gave in the last pass on n branches, at the A new tokens of each: `[B, n, A, d]`."""
        return output.view(*branches.positions.shape, -1, output.shape[-1])

    def up_to_date(self, sees: Tensor) -> Tensor:
        """`sees` over all slots: those added since belong to other branches."""
        return nn.functional.pad(sees, (0, self.num_slots - sees.shape[-1]))


def takes_trees(backbone: Backbone) -> bool:
    """Whether the model's attention can be exchanged for that of `tree_attention`: tried once, on a small tree.

    Where it cannot (the model has its own attention, or another device's kernels are needed), every pass has a mask
    over all slots: the same results, more slowly.
    """
    if backbone.takes_trees is None:
        exchanged = backbone.device.type == "cpu" and install(backbone.model)
        try:
            same = exchanged and _same_on_a_tree(backbone)
        except RuntimeError:  # heads of unequal widths, and what else such a model may do
            same = False
        backbone.takes_trees = same
        if not backbone.takes_trees:
            uninstall(backbone.model)
            kind = backbone.model.config.model_type
            _logger.warning("attention of %r on %s: one masked product a pass", kind, backbone.device.type)
    return backbone.takes_trees


@torch.no_grad()
def _same_on_a_tree(backbone: Backbone) -> bool:
    """Logits of prompts of two lengths, of two branches on each, and of a look-ahead: as a tree and with a mask."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(backbone.model.config.get_text_config().vocab_size, (2, 2, 4), generator=generator)
    embeddings = backbone.embed(rows)
    valid = torch.tensor([4, 2])[:, None, None] > torch.arange(4)
    logits: list[Tensor] = []
    for backbone.takes_trees in (True, False):
        cache = PrefixCache(backbone, 2)
        first, branches = cache.extend(cache.root(), embeddings[:, :1], valid, valid)
        branches = branches.select(torch.zeros(2, 2, dtype=torch.long))
        everywhere = valid.expand(-1, 2, -1)
        second, branches = cache.extend(branches, embeddings, everywhere, everywhere)
        third = cache.look_ahead(branches, embeddings, everywhere, everywhere)
        logits.append(torch.cat([first, second, third]))
    tolerance = 1e-3 if backbone.dtype in (torch.float32, torch.float64) else 0.1
    return bool((logits[0] - logits[1]).abs().max() <= tolerance * logits[1].abs().max())


def own_slots(flags: Tensor) -> Tensor:
    """Flags of n branches' new tokens, `[B, n, A]`, over the slots that these get, `[B, n, n * A]`."""
    n = flags.shape[1]
    return (torch.eye(n, dtype=torch.bool, device=flags.device)[..., None] & flags[:, None]).flatten(2)


def _new_positions(branches: Branches, valid: Tensor, tree: TokenTree | None = None) -> Tensor:
    """Positions of new tokens, `[B, n * A]`; pads, which nobody sees, repeat a neighbour's."""
    depths = (valid.cumsum(-1) - 1).clamp(min=0) if tree is None else tree.depths[:, None]
    return (branches.positions[..., None] + depths).flatten(1)


def _dense_mask(sees: Tensor, valid: Tensor, among: Tensor) -> Tensor:
    """`[B, n * A, L + n * A]`: True where a new token may see a stored slot or a new token."""
    batch, n, length = valid.shape
    rows = n * length
    before = sees[:, :, None].expand(-1, -1, length, -1)
    # A pad sees itself: a softmax over nothing is NaN, and 0 · NaN would reach every row.
    itself = torch.eye(length, dtype=torch.bool, device=valid.device)
    own = (among & valid[:, :, :, None]) | itself  # [B, n, A, A]
    same_branch = torch.eye(n, dtype=torch.bool, device=valid.device)[:, None, :, None]
    new = same_branch & own[:, :, :, None]  # [B, n, A, n, A]
    return torch.cat([before.reshape(batch, rows, -1), new.reshape(batch, rows, rows)], dim=-1)
