"""What is faster on CPU than transformers' own ways, behind one door.

Nothing of this decides what is computed, and `speed: plain` leaves all of it out: results differ by rounding alone.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedModel

from aspire_llm.lm.cpu.allocator import keep_few_kernels, keep_freed_memory
from aspire_llm.lm.cpu.gelu import fuse_gelu
from aspire_llm.lm.cpu.low_rank import pack_low_rank
from aspire_llm.lm.cpu.packed_linear import Packed, pack_linear_layers, packing
from aspire_llm.lm.cpu.tree_attention import StoredLayer, TreePass, entered, install, uninstall
from aspire_llm.lm.upstream import BaseTunerLayer, execution_devices

__all__ = ["FastPaths", "keep_few_kernels", "speed_up"]


def speed_up(model: PreTrainedModel) -> "FastPaths":
    """Prepare a frozen model, in place, and return what its passes may use from then on.

    What each path gains (OPT-125M size, prompt of 650, float32; conditions in docs/experiments.md), by whether the CPU
    has AVX-512:

    - memory that malloc keeps: a prompt 0.33 s instead of 0.41;
    - oneDNN's linear layers, packed for decoding: with AVX-512 a product of many rows takes 0.43 to 0.84 of the time,
      one of ten 0.17 to 0.37; with AVX2 beam search gains 15%, and passes of many rows lose 7 to 18%;
    - attention over a tree of branches: stage 3 7 to 19%, stage 1 10% (no mask where nothing is stored);
    - its products by oneDNN: with AVX-512 verdicts' attention 4.8 instead of 7.0 ms per layer, its gradient 6.6 instead
      of 14.9; with AVX2 nothing;
    - GELU as one operation: GPT-2's prompt 6%, 1% with AVX2;
    - LoRA's terms added to the product, as one step of the gradient: with few rows 15% of a step of stage 3 (SmolLM2).

    Args:
        model: Frozen, in evaluation mode.
    """
    fuse_gelu(model)
    pack_linear_layers(model)
    if _computes_on_cpu(model):
        keep_freed_memory()
    return FastPaths(model)


class FastPaths:
    """What passes may use once `speed_up` has prepared their model.

    Attributes:
        takes_trees: Whether the attention over a tree was found to compute what the model's own does; None until it is
            tried.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self.takes_trees: bool | None = None

    @property
    def layout_bytes(self) -> int:
        """That the weights take which decoding lays out."""
        layers = (module for module in self._model.modules() if isinstance(module, Packed))
        return sum(layer.num_weights * torch.float32.itemsize for layer in layers)

    def decoding(self, positions: Int[Tensor, "batch branches"]) -> AbstractContextManager[None]:
        """Within, products of few rows lay weights out for all later ones.

        Args:
            positions: Of the next token of each branch.
        """
        return packing(int(positions.sum())) if positions.device.type == "cpu" else nullcontext()

    def lora(self, layers: Sequence[BaseTunerLayer]) -> None:
        """Prepare the layers of an adapter that was put into the model."""
        pack_low_rank(layers)

    def exchange_attention(self) -> bool:
        """Exchange the model's attention for one that `tree_attention` directs; False where that cannot be."""
        return _computes_on_cpu(self._model) and install(self._model)

    def restore_attention(self) -> None:
        """Undo `exchange_attention`."""
        uninstall(self._model)

    def tree_attention(
        self,
        layers: Sequence[StoredLayer],
        sees: Bool[Tensor, "batch branches stored"],
        prompt_slots: int,
        among: Bool[Tensor, "batch branches new new"] | None,
    ) -> AbstractContextManager[None]:
        """Within, attention is that of n branches over A new tokens each to the prompt and to themselves.

        Args:
            layers: What is stored, by layer.
            sees: The stored slots that each branch sees.
            prompt_slots: P, the first stored slots, which every branch sees but for padding.
            among: Which new tokens a new token of its branch sees; None where they simply follow each other
                and no branch has slots beyond the prompt.
        """
        dtype = self._model.get_input_embeddings().weight.dtype
        return entered(TreePass.plan(layers, sees, prompt_slots, among, dtype))


def _computes_on_cpu(model: PreTrainedModel) -> bool:
    """All of it, wherever its weights are kept."""
    return {device.type for device in execution_devices(model)} == {"cpu"}
