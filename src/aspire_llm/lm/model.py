"""The frozen language model: loading it safely, and its one forward pass over embeddings.

Passes over shared prefixes give the model explicit embeddings, positions and a 4-D mask. Models differ in how they
derive the last two (OPT from the mask, GPT-2 from the cache length), and all of them derive them wrongly for padded
batches of soft prompts or for several answers that share one prefix. Models that cannot be told have `shares_prefixes`
False, and are read as `generate` reads them (`lm/cache/expanded.py`).
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from aspire_llm.errors import ModelError
from aspire_llm.lm.cpu import speed_up
from aspire_llm.lm.masks import additive
from aspire_llm.lm.memory import free_memory
from aspire_llm.lm.upstream import Cache, GradientCheckpointingLayer, is_stateful

Speed: TypeAlias = Literal["fast", "plain"]

_logger = logging.getLogger(__name__)

_REQUIRED_ARGUMENTS = ("inputs_embeds", "attention_mask", "logits_to_keep")
_CACHE_ARGUMENTS = ("past_key_values", "cache_params")  # what attention and what recurrent models call their state
_MASKED_LAYERS = {"full_attention", "sliding_attention"}


class Backbone:
    """A frozen decoder-only language model and its tokenizer.

    Args:
        model: Prepared in place: frozen, and with its layers exchanged for faster ones.
        tokenizer: Of the model.
        speed: ``fast``, or ``plain``: the model as transformers computes it, which gives the same but for rounding.

    Attributes:
        model: In evaluation mode, no parameter requires a gradient.
        tokenizer: With an end-of-sequence token, which ends every answer.
        window: Most positions that the model can read, soft tokens included.
        shares_prefixes: Whether several branches can continue one stored prefix under a mask.
        cache_argument: What the model calls the state of what it has read.
        takes_positions: Whether the positions of a pass can be given.
        sliding_window: How many positions the sliding layers look back over, their own included; None: all.
        expands: Whether a model that shares no prefixes was seen to read expanded branches rightly.
        fast: What is faster than the model's own ways; None where `speed` is plain.
        width: Width d of the token embeddings.
        num_layers: Decoder layers.
        eos_token_id: The terminator.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, speed: Speed = "fast") -> None:
        _check_supported(model)
        self.model = model.eval().requires_grad_(False)
        _check_embeddings(self.model)
        self.fast = speed_up(self.model) if speed == "fast" else None
        self.tokenizer = tokenizer
        self._embedding: nn.Embedding = model.get_input_embeddings()
        self.window = _window(model)
        reason = _why_not_shared(model)
        if reason:
            kind = model.config.model_type
            _logger.warning("%r models %s: every branch is computed by itself, which takes longer", kind, reason)
        self.shares_prefixes = reason is None
        self.cache_argument, self.takes_positions = _cache_argument(model), _takes_positions(model)
        self.sliding_window = _sliding_window(model)
        self.expands = False
        self._has_slid = False
        self.width = self._embedding.embedding_dim
        self.num_layers: int = model.config.get_text_config().num_hidden_layers
        eos = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else model.config.eos_token_id
        if not isinstance(eos, int):
            raise ModelError(f"the tokenizer's end-of-sequence token is {eos!r}; one is needed to end answers")
        self.eos_token_id = eos

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return self._embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the model's weights."""
        return self._embedding.weight.dtype

    @property
    def num_parameters(self) -> int:
        """Of the model itself, LoRA left out."""
        return sum(p.numel() for name, p in self.model.named_parameters() if "lora_" not in name)

    def embed(self, token_ids: Tensor) -> Tensor:
        """Token embeddings, `[…]` ids to `[…, d]`, with which the model computes what it computes with the ids."""
        embeddings: Tensor = self._embedding(token_ids)
        return embeddings

    def free_memory(self) -> int:
        """Bytes that are free where the model is."""
        return free_memory(self.device)

    def same_logits(self, logits: Tensor, expected: Tensor) -> bool:
        """Whether two ways to compute logits differ by no more than rounding does in the type of the weights."""
        tolerance = 1e-3 if self.dtype in (torch.float32, torch.float64) else 0.1
        return bool((logits - expected).abs().max() <= tolerance * expected.abs().max())

    def decoding(self) -> AbstractContextManager[None]:
        """Within, passes are those of decoding: many, of few rows each."""
        return nullcontext() if self.fast is None else self.fast.decoding()

    @contextmanager
    def layer_outputs(self, only: int | None = None) -> Iterator[list[Tensor]]:
        """Collects what each layer gives in the passes within, `[B, R, d]`, first layer first, pass after pass.

        Args:
            only: The number of the one layer that is wanted; nothing is collected of a model that shows no such layer.
        """
        outputs: list[Tensor] = []

        def collect(_layer: nn.Module, _arguments: Any, output: Any) -> None:
            outputs.append(output[0] if isinstance(output, tuple) else output)

        layers = self._layers() if only is None else self._layers()[only : only + 1]
        hooks = [layer.register_forward_hook(collect) for layer in layers]
        try:
            yield outputs
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def layers_recomputed(self) -> Iterator[None]:
        """Within, backward passes compute each layer's activations again instead of keeping them."""
        layers = self._layers()
        try:
            for layer in layers:
                layer.forward = partial(_recomputed, layer.forward)
            yield
        finally:
            for layer in layers:
                del layer.forward

    def _layers(self) -> list[nn.Module]:
        return [module for module in self.model.modules() if isinstance(module, GradientCheckpointingLayer)]

    def slides_at(self, positions: Tensor) -> bool:
        """Whether the model has layers that do not see all that comes before one of these positions."""
        if self.sliding_window is None or int(positions.max()) < self.sliding_window:
            return False
        if not self._has_slid:
            self._has_slid = True
            _logger.warning("beyond the sliding window of %d: one masked product a pass", self.sliding_window)
        return True

    def forward(
        self,
        embeddings: Tensor,
        *,
        mask: Tensor,
        positions: Tensor,
        logits_at: Tensor,
        cache: Cache | None = None,
        near: Tensor | None = None,
    ) -> Tensor:
        """One pass over embeddings.

        Args:
            embeddings: `[B, R, d]`.
            mask: Boolean `[B, R, L + R]`; True where a row may see a column (the L cached keys, then the R new).
            positions: Position of every row, `[B, R]`.
            logits_at: Rows whose logits are wanted: indices `[B, n]`, or a boolean `[B, R]`.
            cache: Keys and values of earlier passes; takes those of this one.
            near: The mask of sliding layers, where it differs from the others'.

        Returns:
            float32 logits `[B, n, V]`, or `[number of True, V]` for a boolean `logits_at`.
        """
        far = additive(mask[:, None], self.dtype)  # once a pass, not once a layer
        masks: Tensor | dict[str, Tensor] = far
        if near is not None:
            sliding = additive(near[:, None], self.dtype)
            # Without types of layers, all of them slide, and the model takes one mask.
            masks = {"full_attention": far, "sliding_attention": sliding} if _layer_types(self.model) else sliding
        output = self.model(
            inputs_embeds=embeddings.to(self.dtype),
            attention_mask=masks,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=logits_at,
        )
        logits: Tensor = output.logits.float()
        return logits


def _recomputed(forward: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    # The second time comes after the pass has ended, and attention depends on the pass.
    context = copy_context()
    return checkpoint(partial(context.run, forward), *arguments, use_reentrant=False, **keywords)


def load_backbone(
    model: str | Path, *, device: str = "auto", dtype: str = "float32", speed: Speed = "fast"
) -> Backbone:
    """Load a model by folder or hub id: safetensors only, no code from the repository is run.

    Args:
        model: Folder or hub id.
        device: Of torch, or ``auto``: CUDA where there is one.
        dtype: Floating-point type of the weights.
        speed: See `Backbone`.

    Raises:
        ModelError: The folder or id does not exist, holds no safetensors weights, or is not a supported decoder.
    """
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder}: no config.json; a model folder as saved by save_pretrained is needed")
        if not any(folder.glob("*.safetensors")):
            raise ModelError(f"{folder}: no *.safetensors weights (pickle files are not loaded); convert them first")
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        loaded = AutoModelForCausalLM.from_pretrained(
            model, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"cannot load model {str(model)!r}: {reason}") from error
    return Backbone(loaded.to(resolve_device(device)), tokenizer, speed=speed)


def resolve_device(device: str) -> torch.device:
    """The torch device of a name; ``auto`` is CUDA where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} is not available here; use auto, cpu or an existing cuda:N") from error
    return resolved


def _window(model: PreTrainedModel) -> int:
    config = model.config.get_text_config()
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len")]
    return min((limit for limit in limits if limit), default=2**30)


def _sliding_window(model: PreTrainedModel) -> int | None:
    config, layers = model.config.get_text_config(), _layer_types(model)
    slides = "sliding_attention" in layers if layers else getattr(config, "use_sliding_window", True)
    return (getattr(config, "sliding_window", None) or None) if slides else None


def _layer_types(model: PreTrainedModel) -> set[str]:
    return set(getattr(model.config.get_text_config(), "layer_types", None) or ())


def _cache_argument(model: PreTrainedModel) -> str:
    arguments = inspect.signature(model.forward).parameters
    return next((name for name in _CACHE_ARGUMENTS if name in arguments), "")


def _takes_positions(model: PreTrainedModel) -> bool:
    return "position_ids" in inspect.signature(model.forward).parameters


def _why_not_shared(model: PreTrainedModel) -> str | None:
    """What keeps branches from sharing a stored prefix under a mask, as the rest of "such models …"."""
    config = model.config.get_text_config()
    if getattr(config, "num_kv_shared_layers", 0):
        return "have layers without keys of their own"
    if others := _layer_types(model) - _MASKED_LAYERS:
        return f"have layers of type {', '.join(sorted(others))}"
    if is_stateful(model) or _cache_argument(model) != _CACHE_ARGUMENTS[0]:
        return "are recurrent"
    if getattr(config, "alibi", False) or not _takes_positions(model):
        return "do not take positions"
    if "local" in getattr(config, "attention_layers", ()):
        return "mask some layers by themselves"
    return None


def _check_supported(model: PreTrainedModel) -> None:
    kind = model.config.model_type
    arguments = inspect.signature(model.forward).parameters
    if missing := [name for name in _REQUIRED_ARGUMENTS if name not in arguments]:
        raise ModelError(f"models of type {kind!r} take no {', '.join(missing)}; a decoder of embeddings is needed")
    if not _cache_argument(model):
        raise ModelError(f"models of type {kind!r} take no {' or '.join(_CACHE_ARGUMENTS)}; a decoder is needed")
    if getattr(model.config, "is_encoder_decoder", False):
        raise ModelError(f"models of type {kind!r} are encoder-decoders; a decoder-only model is needed")
    if not isinstance(model.get_input_embeddings(), nn.Embedding):
        raise ModelError(f"models of type {kind!r} have no token embedding matrix; a text decoder is needed")


@torch.no_grad()
def _check_embeddings(model: PreTrainedModel) -> None:
    """Some models do more with token ids than to look their embeddings up, and leave it out where they get no ids."""
    token_ids = torch.arange(4, device=model.device)[None]
    expected = model(input_ids=token_ids, use_cache=False).logits
    logits = model(inputs_embeds=model.get_input_embeddings()(token_ids), use_cache=False).logits
    if (logits - expected).abs().max() > 1e-3 * expected.abs().max():
        kind = model.config.model_type
        raise ModelError(f"models of type {kind!r} read token embeddings otherwise than tokens; use another")
