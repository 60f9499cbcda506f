"""Branches that are computed by themselves: for models whose branches cannot share stored keys under a mask.

ALiBi derives distances from the padding, and recurrent layers have one state per row, so such models read as
`generate` has them read: a prompt once, its state expanded to a row for every branch, and one token per row and step on
top.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from aspire_llm.errors import ModelError
from aspire_llm.lm.cache.protocol import BranchCache, Branches, Embeddings, Flags, Logits, widened
from aspire_llm.lm.cache.token_tree import TokenTree
from aspire_llm.lm.masks import own_slots
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.upstream import Cache, DynamicCache


@dataclass(slots=True)
class _State:
    """The model's own state of some branches, one row each.

    Attributes:
        cache: As the model keeps it.
        mask: What was read, boolean `[B * n, T]`; padding stands left.
        sees: The slots of each branch, boolean `[B, n, L]`: what identifies it.
    """

    cache: Cache
    mask: Tensor
    sees: Tensor


class ExpandedCache(BranchCache):
    """Slots that hold embeddings instead of keys and values, and the model's state of the branches last read.

    A branch is the sequence of the slots that it sees. Where its state is at hand, one more token is one step; anything
    else is a pass over whole sequences, which is differentiable because no state is kept from it.
    """

    def __init__(self, backbone: Backbone, batch_size: int) -> None:
        super().__init__(backbone, batch_size)
        self._embeddings: list[Tensor] = []  # [B, slots, d], pass after pass
        self._state: _State | None = None
        self._new_tokens = torch.zeros(batch_size, 1, 0, dtype=torch.long)  # [B, n, A]: their columns in the last pass

    def extend(
        self, branches: Branches, embeddings: Embeddings, valid: Flags, logits_at: Flags | None
    ) -> tuple[Logits, Branches]:
        extended, new = branches.after(valid, self.num_slots), self._by_slot(embeddings)
        if logits_at is None:  # of given tokens, the embeddings are all that later passes need
            logits, self._state = new.new_empty(0, 0), None
        else:
            with torch.no_grad():
                logits = self._read_on(branches, extended, new, valid, logits_at)
        self._add_slots(new)
        return logits, extended

    def extend_by_tree(
        self, branches: Branches, embeddings: Float[Tensor, "batch rows dim"], tree: TokenTree
    ) -> Branches:
        extended = branches.after_tree(tree, self.num_slots)
        self._state = None
        self._add_slots(self._by_slot(embeddings))
        return extended

    def prompts_end(self) -> None:
        """What a prompt is makes no difference here."""

    def look_ahead(self, branches: Branches, embeddings: Embeddings, valid: Flags, logits_at: Flags) -> Logits:
        sees = branches.after(valid, self.num_slots).sees
        return self._read_whole(self._by_slot(embeddings), sees, logits_at, keep_state=False)

    def _by_slot(self, embeddings: Tensor) -> Tensor:
        """New tokens `[B, n, A, d]` or `[B, R, d]` in the order of the slots that they get, `[B, n * A, d]`."""
        return embeddings.to(self.backbone.dtype).reshape(len(embeddings), -1, embeddings.shape[-1])

    def _add_slots(self, embeddings: Tensor) -> None:
        self._embeddings.append(embeddings)
        self.num_slots += embeddings.shape[1]

    def _read_on(self, before: Branches, after: Branches, new: Tensor, valid: Tensor, logits_at: Tensor) -> Tensor:
        """Logits of new tokens, by a step where the state of what came before is at hand."""
        batch, n, length = valid.shape
        continues = self.num_slots == 0 or (length == 1 and bool(valid.all()))
        rows = self._rows_of(before.over(self.num_slots)) if continues else None
        if rows is not None:
            return self._step(rows, new.view(batch * n, 1, -1), after.sees)
        return self._read_whole(new, after.sees, logits_at, keep_state=continues)

    def _rows_of(self, sees: Tensor) -> Tensor | None:
        """The row of the state that has read just what each branch sees, `[B * n]`; None where one has no row."""
        if self._state is None:
            return None
        same = (sees[:, :, None] == widened(self._state.sees, self.num_slots)[:, None]).all(
            -1
        )  # [B, n, rows per question]
        first = torch.arange(len(sees), device=sees.device)[:, None] * same.shape[-1]
        return (first + same.int().argmax(-1)).flatten() if bool(same.any(-1).all()) else None

    def _step(self, rows: Tensor, tokens: Tensor, sees: Tensor) -> Tensor:
        """Logits after one token `[B * n, 1, d]` on top of rows of the state, which moves on."""
        assert self._state is not None
        cache, mask = self._state.cache, nn.functional.pad(self._state.mask[rows], (0, 1), value=True)
        cache.reorder_cache(rows)
        self._state = _State(cache, mask, sees)
        self._new_tokens = torch.zeros(*sees.shape[:2], 1, dtype=torch.long, device=sees.device)
        return self._run(tokens, mask, torch.ones_like(mask[:, -1:]), cache)

    def _read_whole(self, new: Tensor, sees: Tensor, logits_at: Tensor, *, keep_state: bool) -> Tensor:
        """Logits of a pass over whole branches.

        Args:
            new: Embeddings of the new tokens, `[B, n * A, d]`.
            sees: All slots of each branch, the new ones last, boolean `[B, n, L]`.
            logits_at: New tokens whose logits are wanted, boolean `[B, n, A]`.
            keep_state: Whether steps follow. Then padding stands left, so that they follow on the last column; else
                right, where no token, and no gradient, can meet it.
        """
        batch, n, _ = sees.shape
        order = sees.byte().argsort(dim=-1, descending=not keep_state, stable=True)
        longest = int(sees.sum(-1).max())
        columns = order[..., -longest:] if keep_state else order[..., :longest]  # [B, n, T]
        question = torch.arange(batch, device=sees.device)[:, None, None]
        mask = sees.gather(-1, columns).flatten(0, 1)
        cache = DynamicCache(config=self.backbone.model.config.get_text_config()) if keep_state else None
        self._state = _State(cache, mask, sees) if cache is not None else self._state
        # One column per slot; the new tokens of branch j have the j-th of the last n blocks.
        own = order.argsort(dim=-1)[..., self.num_slots :].view(batch, n, n, -1).diagonal(dim1=1, dim2=2)  # [B, A, n]
        trimmed = own - (order.shape[-1] - longest if keep_state else 0)
        self._new_tokens = trimmed.transpose(1, 2).clamp(0, longest - 1)
        wanted = nn.functional.pad(own_slots(logits_at), (self.num_slots, 0)).gather(-1, columns)
        rows = torch.cat([*self._embeddings, new], dim=1)[question, columns]
        return self._run(rows.flatten(0, 1), mask, wanted.flatten(0, 1), cache)

    def _run(self, rows: Tensor, mask: Tensor, logits_at: Tensor, cache: Cache | None) -> Tensor:
        """One pass over rows `[R, T, d]` as `generate` makes it, with a mask over all that was read, `[R, L + T]`."""
        backbone = self.backbone
        arguments: dict[str, Any] = {backbone.cache_argument: cache} if cache is not None else {}
        if backbone.takes_positions:
            arguments["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -rows.shape[1] :]
        # A state that is no keys needs no mask of what it has read, and its layers take none.
        if backbone.cache_argument == "past_key_values" or rows.shape[1] == mask.shape[1]:
            arguments["attention_mask"] = mask.long()
        arguments["logits_to_keep"] = backbone.where_kept(logits_at)
        output = backbone.model(inputs_embeds=rows, use_cache=cache is not None, **arguments)
        logits: Tensor = output.logits.float()
        return logits

    def select(self, questions: Int[Tensor, " questions"], room: int = 0) -> "ExpandedCache":
        """A cache that holds some of the questions. The state moves to it: this one would have to read it again."""
        selected = ExpandedCache(self.backbone, len(questions))
        selected.num_slots = self.num_slots
        selected._embeddings = [embeddings[questions] for embeddings in self._embeddings]
        if self._state is not None:
            sees = self._state.sees
            rows = torch.arange(sees.shape[0] * sees.shape[1], device=sees.device).view(sees.shape[:2])[questions]
            self._state.cache.reorder_cache(rows.flatten())
            selected._state = _State(self._state.cache, self._state.mask[rows.flatten()], sees[questions])
            self._state = None
        return selected

    def by_branch(self, output: Float[Tensor, "sequences rows dim"], branches: Branches) -> Embeddings:
        rows = output.view(*branches.positions.shape, -1, output.shape[-1])
        return rows.gather(2, self._new_tokens[..., None].expand(-1, -1, -1, output.shape[-1]))

    @property
    def num_bytes(self) -> int:
        """Memory of the embeddings and of the state."""
        state = _tensors(self._state.cache) if self._state is not None else ()
        return sum(tensor.nbytes for tensor in (*self._embeddings, *state))


def _tensors(cache: Cache) -> Iterator[Tensor]:
    """All that the layers of a model's own cache hold: keys and values, or states by number."""
    for layer in cache.layers:
        for value in vars(layer).values():
            held = value.values() if isinstance(value, dict) else (value,)
            yield from (tensor for tensor in held if isinstance(tensor, Tensor))


def check_readable(backbone: Backbone) -> None:
    """Tried once, where branches are expanded: padding changes nothing, and a state goes on where the prompt ends.

    Raises:
        ModelError: It is not so, as with absolute positions that count padding, or a state that the model keeps itself.
    """
    if backbone.shares_prefixes or backbone.expands:
        return
    try:
        backbone.expands = _same_expanded(backbone)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError):
        backbone.expands = False
    if not backbone.expands:
        kind = backbone.model.config.model_type
        raise ModelError(
            f"{kind!r} models read padded prompts or single tokens otherwise than whole texts; use another"
        )


@torch.no_grad()
def _same_expanded(backbone: Backbone) -> bool:
    """Logits of prompts of two lengths, read together, and of a token on each, against those of each text alone."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(backbone.model.config.get_text_config().vocab_size, (2, 1, 5), generator=generator)
    embeddings = backbone.embed(tokens.to(backbone.device))
    everywhere = torch.ones(2, 1, 5, dtype=torch.bool, device=backbone.device)
    lengths = torch.tensor([4, 2], device=backbone.device)
    prompts = torch.arange(4, device=backbone.device) < lengths[:, None, None]
    together = ExpandedCache(backbone, 2)
    read, branches = together.extend(together.root(), embeddings[:, :, :4], prompts, prompts)
    next_tokens = embeddings[torch.arange(2), :, lengths][:, :, None]
    stepped, _ = together.extend(branches, next_tokens, everywhere[..., :1], everywhere[..., :1])
    alone = []
    for i, length in enumerate(lengths.tolist()):
        cache, whole = ExpandedCache(backbone, 1), slice(length + 1)
        alone.append(cache.look_ahead(cache.root(), embeddings[i : i + 1, :, whole], *[everywhere[:1, :, whole]] * 2))
    expected = torch.cat([*(logits[:-1] for logits in alone), *(logits[-1:] for logits in alone)])
    return backbone.same_logits(torch.cat([read, stepped]), expected)
