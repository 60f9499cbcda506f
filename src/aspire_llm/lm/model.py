"""The frozen language model and its one forward pass over embeddings.

Passes over shared prefixes give the model explicit embeddings, positions and a 4-D mask. Models differ in how they
derive the last two (OPT from the mask, GPT-2 from the cache length), and all of them derive them wrongly for padded
batches of soft prompts or for several answers that share one prefix. Models that cannot be told have `shares_prefixes`
False, and are read as `generate` reads them (`lm/cache/expanded.py`).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from functools import cached_property, partial
from threading import RLock
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aspire_llm.errors import ModelError
from aspire_llm.lm.architecture import (
    cache_argument,
    check_reading,
    check_supported,
    layer_types,
    sliding_window,
    takes_positions,
    text_decoder,
    why_not_shared,
    window,
)
from aspire_llm.lm.chat import ChatPrompts
from aspire_llm.lm.cpu import speed_up
from aspire_llm.lm.masks import additive
from aspire_llm.lm.memory import free_memory
from aspire_llm.lm.prompt_format import PlainPrompts, PromptFormat
from aspire_llm.lm.quantization import num_weights, rounding
from aspire_llm.lm.sharding import agree_on_logits
from aspire_llm.lm.text import TextCodec
from aspire_llm.lm.upstream import (
    BaseTunerLayer,
    Cache,
    GradientCheckpointingLayer,
    execution_device,
    execution_devices,
    tied_names,
)
from aspire_llm.processes import Sharding, processes

Speed: TypeAlias = Literal["fast", "plain"]

_logger = logging.getLogger(__name__)


class Backbone:
    """A frozen decoder-only language model and its tokenizer.

    Args:
        model: Prepared in place: frozen, and with its layers exchanged for faster ones.
        tokenizer: Of the model.
        speed: ``fast``, or ``plain``: the model as transformers computes it, which gives the same but for rounding.
        sharding: How processes have split the model; `speed` is plain then.
        chat: The chat template that questions are put through; None for plain prompts.

    Attributes:
        model: In evaluation mode, no parameter requires a gradient.
        sharding: How processes have split it; None where it is whole.
        tokenizer: With an end-of-sequence token, which ends every answer.
        window: Most positions that the model can read, soft tokens included.
        shares_prefixes: Whether several branches can continue one stored prefix under a mask.
        cache_argument: What the model calls the state of what it has read.
        takes_positions: Whether the positions of a pass can be given.
        sliding_window: How many positions the sliding layers look back over, their own included; None: all.
        expands: Whether a model that shares no prefixes was seen to read expanded branches rightly.
        lora_layers: Those that LoRA adapters are in, of all adapters that the model has.
        fast: What is faster than the model's own ways; None where `speed` is plain.
        width: Width d of the token embeddings.
        num_embeddings: How many tokens have one.
        num_layers: Decoder layers.
        eos_token_id: The terminator: what the chat template ends an answer with, else the tokenizer's.
        text: Turns text into tokens and back.
        prompts: Turns questions into prompts.
        lock: Held while the model answers: which LoRA adapters are active is state of the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        speed: Speed = "fast",
        sharding: Sharding | None = None,
        chat: ChatPrompts | None = None,
    ) -> None:
        check_supported(model)
        self.model = model.eval().requires_grad_(False)
        self.sharding = sharding
        if sharding:
            agree_on_logits(model)
        check_reading(self.model)
        self.fast = speed_up(self.model) if speed == "fast" else None
        self.tokenizer = tokenizer
        self._embedding: nn.Embedding = model.get_input_embeddings()
        self.window = window(model)
        reason = why_not_shared(model)
        if reason:
            kind = model.config.model_type
            _logger.warning("%r models %s: every branch is computed by itself, which takes longer", kind, reason)
        self.shares_prefixes = reason is None
        self.cache_argument, self.takes_positions = cache_argument(model), takes_positions(model)
        self.sliding_window = sliding_window(model)
        self.expands = False
        self.lora_layers: list[BaseTunerLayer] = []
        self.lock = RLock()
        self._has_slid = False
        self.width, self.num_embeddings = self._embedding.embedding_dim, self._embedding.num_embeddings
        self.num_layers: int = model.config.get_text_config().num_hidden_layers
        eos = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else model.config.eos_token_id
        if chat is not None and chat.terminator is not None:
            eos = chat.terminator
        if not isinstance(eos, int):
            raise ModelError(f"the tokenizer's end-of-sequence token is {eos!r}; one is needed to end answers")
        self.eos_token_id = eos
        self.text = TextCodec(tokenizer, eos)
        self.prompts: PromptFormat = chat or PlainPrompts(self.text)

    @property
    def device(self) -> torch.device:
        """Where the model reads: where its embeddings are, or are brought."""
        return execution_device(self._embedding) or self._embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the model's weights."""
        return self._embedding.weight.dtype

    @property
    def num_parameters(self) -> int:
        """Of the model itself, LoRA left out."""
        own = ((name, p) for name, p in self.model.named_parameters() if "lora_" not in name)
        again = tied_names(self.model)  # which are seen to be the same only where they are in memory
        return sum(num_weights(p) for name, p in own if not (p.is_meta and name in again))

    def embed(self, token_ids: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape dim"]:
        """Token embeddings with which the model computes what it computes with the ids."""
        embeddings: Tensor = self._embedding(token_ids)
        return embeddings

    def free_memory(self) -> int:
        """Bytes that are free where the model is; the least of any process that has a part of it."""
        return processes().least(free_memory(self.device))

    def wait(self) -> None:
        """Until the device has done what it was told to."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def same_logits(self, logits: Float[Tensor, "*shape"], expected: Float[Tensor, "*shape"]) -> bool:
        """Whether two ways to compute logits differ by no more than rounding does in the type of the weights."""
        return bool((logits - expected).abs().max() <= rounding(self.model) * expected.abs().max())

    def decoding(self, positions: Int[Tensor, "batch branches"]) -> AbstractContextManager[None]:
        """Within, passes are those of decoding: many, of few rows each.

        Args:
            positions: Of the next token of each branch.
        """
        return nullcontext() if self.fast is None else self.fast.decoding(positions)

    @contextmanager
    def layer_outputs(self, only: Sequence[int] | None = None) -> Iterator[list[Tensor]]:
        """Collects what each layer gives in the passes within, `[B, R, d]`, first layer first, pass after pass.

        Args:
            only: The numbers of the layers that are wanted; nothing is collected of layers that a model does not show.
        """
        outputs: list[Tensor] = []

        def collect(_layer: nn.Module, _arguments: Any, output: Any) -> None:
            states: Tensor = output[0] if isinstance(output, tuple) else output
            outputs.append(states.to(self.device))  # layers may be elsewhere

        layers = self.layers
        wanted = range(len(layers)) if only is None else sorted(only)
        hooks = [layers[number].register_forward_hook(collect) for number in wanted if number < len(layers)]
        try:
            yield outputs
        finally:
            for hook in hooks:
                hook.remove()

    @cached_property
    def shows_layers(self) -> bool:
        """Whether `layer_outputs` sees one vector per token of every layer; tried once, on one token."""
        token = torch.tensor([[self.eos_token_id]], device=self.device)
        with torch.no_grad(), self.layer_outputs() as outputs:
            self.model(inputs_embeds=self.embed(token), use_cache=False)
        whole = len(outputs) == len(self.layers) == self.num_layers
        return whole and all(output.ndim == 3 for output in outputs)

    @contextmanager
    def layers_recomputed(self) -> Iterator[None]:
        """Within, backward passes compute each layer's activations again instead of keeping them."""
        layers = self.layers
        hooked = [vars(layer).get("forward") for layer in layers]  # by accelerate, where weights are brought
        try:
            for layer in layers:
                layer.forward = partial(_recomputed, layer.forward)
            yield
        finally:
            for layer, forward in zip(layers, hooked, strict=True):
                if forward is None:
                    del layer.forward
                else:
                    layer.forward = forward

    @property
    def layers(self) -> list[nn.Module]:
        """The decoder's layers, first to last; none of a model that does not show them."""
        return [own for own in text_decoder(self.model).modules() if isinstance(own, GradientCheckpointingLayer)]

    def slides_at(self, positions: Int[Tensor, "batch rows"]) -> bool:
        """Whether the model has layers that do not see all that comes before one of these positions."""
        if self.sliding_window is None or int(positions.max()) < self.sliding_window:
            return False
        if not self._has_slid:
            self._has_slid = True
            _logger.warning("beyond the sliding window of %d: one masked product per pass", self.sliding_window)
        return True

    def forward(
        self,
        embeddings: Float[Tensor, "batch rows dim"],
        *,
        mask: Bool[Tensor, "batch mask_rows columns"],
        positions: Int[Tensor, "batch rows"],
        logits_at: Bool[Tensor, "batch rows"],
        cache: Cache | None = None,
        near: Bool[Tensor, "batch rows columns"] | None = None,
    ) -> Float[Tensor, "wanted vocab"]:
        """One pass over embeddings.

        Args:
            embeddings: B sequences of R rows.
            mask: True where a row may see a column: the L cached keys, then the R new. One row where none is looked at.
            positions: Of every row.
            logits_at: Rows whose logits are wanted.
            cache: Keys and values of earlier passes; takes those of this one.
            near: The mask of sliding layers, where it differs from the others'.

        Returns:
            float32 logits, a row for each True in `logits_at`.
        """
        far = additive(mask[:, None], self.dtype)  # once per pass, not once per layer
        masks: Tensor | dict[str, Tensor] = far
        if near is not None:
            sliding = additive(near[:, None], self.dtype)
            # Without types of layers, all of them slide, and the model takes one mask.
            masks = {"full_attention": far, "sliding_attention": sliding} if layer_types(self.model) else sliding
        output = self.model(
            inputs_embeds=embeddings.to(self.dtype),
            attention_mask=masks,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=self.where_kept(logits_at),
        )
        logits: Tensor = output.logits.float()
        return logits

    def where_kept(self, logits_at: Bool[Tensor, "batch rows"]) -> Bool[Tensor, "batch rows"]:
        """Which logits are wanted, in memory where layers are on several devices: there any of them can look it up."""
        return logits_at.cpu() if self._is_spread else logits_at

    @cached_property
    def _is_spread(self) -> bool:
        return len(execution_devices(self.model)) > 1


def _recomputed(forward: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    # The second time comes after the pass has ended, and attention depends on the pass.
    context = copy_context()
    return checkpoint(partial(context.run, forward), *arguments, use_reentrant=False, **keywords)
