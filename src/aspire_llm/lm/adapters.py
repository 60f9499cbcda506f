"""What is learned: θp (the task) and θs (self-evaluation). The backbone under them never changes.

An adapter is soft tokens, a change of the weights while it is active, or both:

- a *soft prompt* (the paper's) is l trained embeddings: θp stands before the prompt, θs after the answer;
- *LoRA* changes the linear layers: θp while prompt and answer are read, θp and θs together while the verdict is.
  Its θs needs something to read, so its soft tokens are the fixed embeddings of a short text.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from peft import LoraConfig
from torch import Tensor, nn
from transformers import PreTrainedModel

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import ModelError, first_line
from aspire_llm.lm.architecture import check_reads_between_tokens, text_decoder
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.upstream import (
    BaseTunerLayer,
    Conv1D,
    activate_adapters,
    active_adapters,
    get_peft_model_state_dict,
    standing_in,
)

TASK, SELF_EVALUATION = "task", "self_eval"
VERDICT_TEXT = "\nThis answer is"  # what LoRA's θs reads before the verdict; a soft prompt learns its own
OF_PEFT = "base_model.model."  # how `PeftModel` calls the model in its files; those of earlier versions lack it
_ROUTERS = ("router", "gate", "shared_expert_gate")


@runtime_checkable
class Adapter(Protocol):
    """One learned addition to a frozen backbone.

    Attributes:
        changes_weights: Whether it matters to a token that the adapter is active while the token is read.
    """

    changes_weights: bool

    def soft_tokens(self) -> Float[Tensor, "soft_tokens dim"]:
        """Embeddings that stand in the sequence; there may be none."""

    def active(self) -> Any:
        """Context manager under which forward passes use the adapter's weights."""

    def parameters(self) -> list[nn.Parameter]:
        """What an optimiser changes."""

    def state(self) -> dict[str, Tensor]:
        """Tensors to save, by their names in the adapter's file."""

    def config(self) -> dict[str, Any]:
        """JSON-ready description, with `peft_type`."""


class NoAdapter:
    """The base model as it is."""

    changes_weights = False

    def __init__(self, backbone: Backbone) -> None:
        self._empty = torch.zeros(0, backbone.width, device=backbone.device)

    def soft_tokens(self) -> Float[Tensor, "soft_tokens dim"]:
        return self._empty

    @contextmanager
    def active(self) -> Iterator[None]:
        yield

    def parameters(self) -> list[nn.Parameter]:
        return []

    def state(self) -> dict[str, Tensor]:
        return {}

    def config(self) -> dict[str, Any]:
        return {}


class SoftPrompt(NoAdapter):
    """l trained embeddings (float32), in the file format of PEFT's prompt tuning."""

    def __init__(self, backbone: Backbone, embeddings: Float[Tensor, "soft_tokens dim"]) -> None:
        super().__init__(backbone)
        self.prompt_embeddings = nn.Parameter(embeddings.detach().clone().float().to(backbone.device))
        self._model = backbone.model

    @classmethod
    def initialise(cls, backbone: Backbone, num_soft_tokens: int, seed: int) -> "SoftPrompt":
        """Start from the embeddings of tokens sampled from the vocabulary (Lester et al. 2021, §3.2)."""
        check_reads_between_tokens(backbone.model)
        generator = torch.Generator().manual_seed(seed)
        known = min(len(backbone.tokenizer), backbone.num_embeddings)
        token_ids = torch.randint(known, (num_soft_tokens,), generator=generator)
        return cls(backbone, backbone.embed(token_ids.to(backbone.device)))

    def soft_tokens(self) -> Float[Tensor, "soft_tokens dim"]:
        return self.prompt_embeddings

    def parameters(self) -> list[nn.Parameter]:
        return [self.prompt_embeddings]

    def state(self) -> dict[str, Tensor]:
        return {"prompt_embeddings": self.prompt_embeddings}

    def config(self) -> dict[str, Any]:
        text_config = self._model.config.get_text_config()
        return {
            "peft_type": "PROMPT_TUNING",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self._model.name_or_path,
            "inference_mode": True,
            "num_virtual_tokens": self.prompt_embeddings.shape[0],
            "token_dim": self.prompt_embeddings.shape[1],
            "num_transformer_submodules": 1,
            "num_layers": text_config.num_hidden_layers,
            "num_attention_heads": getattr(text_config, "num_attention_heads", None),
            "prompt_tuning_init": "SAMPLE_VOCAB",
        }


class LoraAdapter:
    """Low-rank changes of all linear layers, by `peft`.

    Several may be active at once; where none is, the layers compute what the base model computes.
    """

    changes_weights = True

    def __init__(self, backbone: Backbone, kind: str, lora_config: LoraConfig, *, of: str = "") -> None:
        self._backbone, self._kind, self._name, self._lora_config = backbone, kind, f"{kind}{of}", lora_config
        model, name = backbone.model, self._name
        if backbone.sharding == "tensor":  # peft would split the adapter, too
            raise ModelError("sharding: tensor works with soft prompts only; use sharding: fsdp for LoRA")
        with warnings.catch_warnings():
            # Several adapters in one model, and replacing one, are what is wanted here.
            warnings.simplefilter("ignore", UserWarning)
            if name in getattr(model, "peft_config", {}):
                model.delete_adapter(name)
            try:
                with standing_in(model):
                    model.add_adapter(lora_config, adapter_name=name)
            except ValueError as error:  # layers whose weights a model reads past their forward
                kind, reason = model.config.model_type, first_line(error)
                raise ModelError(f"no LoRA for {kind!r} models ({reason}); use adapter: soft_prompt") from error
        backbone.lora_layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
        activate_adapters(backbone.lora_layers, [])
        if backbone.fast is not None:
            backbone.fast.lora(backbone.lora_layers)

    @classmethod
    def initialise(cls, backbone: Backbone, name: str, config: TrainingConfig, seed: int) -> "LoraAdapter":
        """Random A, zero B (Hu et al. 2021, §4.1): the model starts unchanged."""
        lora_config = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            target_modules=_linear_layers(backbone.model),
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in backbone.model.modules()),
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(backbone, name, lora_config)

    def soft_tokens(self) -> Float[Tensor, "soft_tokens dim"]:
        token_ids = _lora_token_ids(self._backbone, self._kind)
        return self._backbone.embed(torch.tensor(token_ids, dtype=torch.long, device=self._backbone.device))

    @contextmanager
    def active(self) -> Iterator[None]:
        layers = self._backbone.lora_layers
        outer = active_adapters(layers[0])
        activate_adapters(layers, [*outer, self._name])
        try:
            yield
        finally:
            activate_adapters(layers, outer)

    def parameters(self) -> list[nn.Parameter]:
        parameters = self._backbone.model.named_parameters()
        return [parameter for key, parameter in parameters if "lora_" in key and f".{self._name}." in key]

    def state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = get_peft_model_state_dict(self._backbone.model, adapter_name=self._name)
        return {f"{OF_PEFT}{key}": tensor for key, tensor in state.items()}

    def config(self) -> dict[str, Any]:
        return {key: sorted(v) if isinstance(v, set) else v for key, v in self._lora_config.to_dict().items()}


def new_adapter(backbone: Backbone, name: str, config: TrainingConfig, *, seed: int) -> Adapter:
    """An untrained adapter; `name` is `TASK` (θp) or `SELF_EVALUATION` (θs)."""
    if config.adapter == "lora":
        return LoraAdapter.initialise(backbone, name, config, seed)
    return SoftPrompt.initialise(backbone, config.num_soft_tokens, seed)


def num_soft_tokens(backbone: Backbone, task: TrainingConfig, self_evaluation: TrainingConfig) -> tuple[int, int]:
    """Positions that the soft tokens of θp and of θs take; LoRA's are not those of the setting."""
    task_tokens, verdict_tokens = (
        len(_lora_token_ids(backbone, name)) if config.adapter == "lora" else config.num_soft_tokens
        for name, config in ((TASK, task), (SELF_EVALUATION, self_evaluation))
    )
    return task_tokens, verdict_tokens


def _lora_token_ids(backbone: Backbone, name: str) -> list[int]:
    text = VERDICT_TEXT if name == SELF_EVALUATION else ""
    return [token for token, _ in backbone.text.text_tokens(text)]


def frozen(adapter: Adapter) -> Adapter:
    """The adapter, of which no parameter asks for a gradient any more."""
    for parameter in adapter.parameters():
        parameter.requires_grad_(False)
    return adapter


def _linear_layers(model: PreTrainedModel) -> list[str]:
    """What the linear layers of its text decoder are called, but for what chooses the experts of a mixture.

    peft's "all-linear" takes routers, and experts that are no linear layers, of some mixtures and not of others.
    """
    head, within = model.get_output_embeddings(), set(text_decoder(model).modules())
    linear = {
        name.removesuffix(".base_layer"): module in within  # which peft puts in where there is an adapter already
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head
    }
    elsewhere = {_last(name) for name, is_within in linear.items() if not is_within}  # of a part that reads images
    names = [name if _last(name) in elsewhere else _last(name) for name, is_within in linear.items() if is_within]
    return [name for name in dict.fromkeys(names) if _last(name) not in _ROUTERS]


def _last(name: str) -> str:
    return name.rpartition(".")[2]
