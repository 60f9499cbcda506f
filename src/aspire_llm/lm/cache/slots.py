"""One layer's keys and values as slots of a `PrefixCache`, in the form in which models of transformers store them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aspire_llm.lm.upstream import CacheLayerMixin


class SlotLayer(CacheLayerMixin):
    """One layer's keys and values, `[B, heads, slots, head width]`, written in place into buffers that double.

    Attributes:
        keep: Whether the next pass's keys and values are stored.
        whole: Whether `update` gives the pass what is stored as well, or the new keys and values alone.
    """

    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0
        self.keep = self.whole = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate buffers of `capacity` slots for keys and values like these."""
        self.keys, self.values = self._empty(key_states), self._empty(value_states)
        self.is_initialized = True

    def update(
        self,
        key_states: Float[Tensor, "batch heads rows key_width"],
        value_states: Float[Tensor, "batch heads rows value_width"],
        *args: object,
        **kwargs: object,
    ) -> tuple[Float[Tensor, "batch heads keys key_width"], Float[Tensor, "batch heads keys value_width"]]:
        """Take the keys and values of a pass; its attention calls this once per layer.

        Args:
            key_states: Of the new rows.
            value_states: Of the new rows.
            args: What other kinds of caches need.
            kwargs: Likewise.

        Returns:
            The keys and values that the pass attends to: the new ones, after the stored ones where `whole` is set.
        """
        if not self.keep:
            if not (self.whole and self.is_initialized):
                return key_states, value_states
            stored_keys, stored_values = self.keys[..., : self.length, :], self.values[..., : self.length, :]
            return torch.cat([stored_keys, key_states], dim=-2), torch.cat([stored_values, value_states], dim=-2)
        end = self.length + key_states.shape[-2]
        if not self.is_initialized or end > self.capacity:
            self._grow(end, key_states, value_states)
        self.keys[..., self.length : end, :] = key_states
        self.values[..., self.length : end, :] = value_states
        self.length = end
        if not self.whole:
            return key_states, value_states
        return self.keys[..., :end, :], self.values[..., :end, :]

    def copy_rows(self, other: "SlotLayer", rows: Int[Tensor, " rows"], room: int) -> None:
        """Become a copy of some rows of another layer, with further slots to fill.

        Args:
            other: What is copied.
            rows: Indices of its rows, in the order wanted (repeats allowed).
            room: Number of further slots.
        """
        self.length, self.capacity = other.length, other.length + room
        rows = rows.to(other.keys.device)  # a layer may be elsewhere than the embeddings
        keys, values = other.keys[rows, :, : self.length], other.values[rows, :, : self.length]
        self.lazy_initialization(keys, values)
        self.keys[:, :, : self.length], self.values[:, :, : self.length] = keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Keys that a pass over this many rows attends to, and the first of them."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Number of slots that are filled."""
        return self.length

    def get_max_length(self) -> int:
        """No limit, in transformers' words."""
        return -1

    def _grow(self, needed: int, key_states: Tensor, value_states: Tensor) -> None:
        while self.capacity < needed:
            self.capacity *= 2
        old_keys, old_values = self.keys, self.values
        self.lazy_initialization(key_states, value_states)
        if old_keys is not None:
            self.keys[..., : self.length, :] = old_keys[..., : self.length, :]
            self.values[..., : self.length, :] = old_values[..., : self.length, :]

    def _empty(self, states: Tensor) -> Tensor:
        batch, heads, _, width = states.shape
        return states.new_empty(batch, heads, self.capacity, width)
