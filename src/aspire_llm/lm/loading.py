"""Getting weights and tokenizers from files or the hub: no code of a repository runs, and what does not fit is refused.

transformers fills in what a checkpoint lacks with random numbers, and asks on standard input whether to run code.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from aspire_llm.data_config import PromptsConfig
from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.lm.chat import ChatPrompts
from aspire_llm.lm.gguf import converted
from aspire_llm.lm.loaded import check_vocabulary, check_weights
from aspire_llm.lm.model import Backbone, Speed
from aspire_llm.lm.model_files import PRESETS, check_files, find_model, read_template
from aspire_llm.lm.placement import Placement, spread
from aspire_llm.lm.quantization import Bits, finish, settings_for
from aspire_llm.lm.sharding import TensorPart, check_device, let_go_of_the_rest, loaded_in_layers, tensor_split
from aspire_llm.lm.upstream import get_tokenizer_config, tokenizer_class_from_name
from aspire_llm.processes import Sharding, process_count, process_index_here, processes, processes_here


def load_backbone(
    model: str | Path,
    *,
    device: str = "auto",
    dtype: str = "float32",
    speed: Speed = "fast",
    sharding: Sharding | None = None,
    prompts: PromptsConfig | None = None,
    quantization: Bits | None = None,
    placement: Placement | None = None,
) -> Backbone:
    """Load a causal language model.

    Args:
        model: ``demo``, ``smollm2``, a folder, a GGUF file or a hub id.
        device: Of torch, or ``auto``: CUDA where there is one.
        dtype: Floating-point type of the weights.
        speed: See `Backbone`.
        sharding: How the processes of the command split the model, which is then computed as with ``plain``.
        prompts: How questions stand before it; None for plainly.
        quantization: Bits in which its linear layers are held; None for those of its files.
        placement: How its layers are spread, instead of `device`.

    Raises:
        ModelError: It does not exist, is broken or incomplete, needs code of its own, or is not a supported decoder;
            it has no chat template where one is to be followed; no package is installed that its quantisation takes;
            or there is no room where its layers may be.
        ConfigError: See `resolve_device`.
    """
    weights = getattr(torch, dtype)
    if sharding:
        loaded, tokenizer = _load_part(model, weights, resolve_device(device), sharding)
        speed = "plain"  # the faster ways on CPU lay out whole matrices
    else:
        place = placement or resolve_device(device)
        loaded, tokenizer = load(AutoModelForCausalLM, model, weights, quantization=quantization, place=place)
    check_vocabulary(loaded, tokenizer)
    chat = chat_prompts(str(model), tokenizer, prompts) if prompts and prompts.format == "chat" else None
    if chat is not None:
        _check_chat_tokens(chat, loaded.get_input_embeddings().num_embeddings)
    return Backbone(loaded, tokenizer, speed=speed, sharding=sharding, chat=chat)


def _load_part(
    model: str | Path, dtype: torch.dtype, device: torch.device, sharding: Sharding
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """This process's part of a model on its device, and the tokenizer."""
    check_device(device)
    if sharding == "tensor":
        part, own_tokenizer = load(AutoModelForCausalLM, model, dtype, place=TensorPart(device))
        return let_go_of_the_rest(part), own_tokenizer
    tokenizers = []

    def whole() -> PreTrainedModel:
        loaded, tokenizer = load(AutoModelForCausalLM, model, dtype, place=torch.device("cpu"))
        tokenizers.append(tokenizer)
        return loaded

    return loaded_in_layers(whole, device), tokenizers[0]


def load(
    kind: type[Any],
    model: str | Path,
    dtype: torch.dtype,
    what: str = "model",
    *,
    quantization: Bits | None = None,
    place: torch.device | Placement | TensorPart,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model with all of its weights, and its tokenizer, which is a fast one.

    Args:
        kind: The class of transformers that chooses the architecture, such as `AutoModelForCausalLM`.
        model: As for `load_backbone`.
        dtype: Of the weights.
        what: What messages call it.
        quantization: As for `load_backbone`.
        place: The device of its weights, how they are spread, or where this process's part of each matrix goes.

    Raises:
        ModelError: See `load_backbone`.
    """
    name = f"{what} {str(model)!r}"
    found = find_model(model)
    if isinstance(found, Path) and found.is_file():
        with _quietly():
            found = converted(found)
    if isinstance(found, Path):
        check_files(found)
    hint = f"; {PRESETS[str(model)].install} gives it without the hub" if str(model) in PRESETS else ""
    with _quietly(), _in_one_line(f"cannot load {name}", hint):
        config = config_without_code(found, what)
        settings = settings_for(name, config, quantization, dtype)
        tokenizer = AutoTokenizer.from_pretrained(found, trust_remote_code=False)
        read = partial(
            kind.from_pretrained,
            found,
            dtype=dtype,
            trust_remote_code=False,
            weights_only=True,  # what is read by torch.load may hold tensors and nothing else
            ignore_mismatched_sizes=True,  # those are refused below, with their names
            output_loading_info=True,
            **settings,
        )
        if isinstance(place, Placement):
            loaded, report = spread(read, place, name)
        elif isinstance(place, TensorPart):
            loaded, report = read(distributed_config=tensor_split(kind, found, place.device))
        elif settings or "quantization_config" in config:  # what is packed cannot be moved later
            loaded, report = read(device_map={"": place})
        else:
            loaded, report = read()
            loaded = loaded.to(place)
    check_weights(name, loaded, report)
    if getattr(loaded, "hf_quantizer", None) is not None:
        finish(loaded, name)
    if not tokenizer.is_fast:
        slow = type(tokenizer).__name__
        raise ModelError(f"{name}: its tokenizer ({slow}) tells no offsets; one with a tokenizer.json is needed")
    return loaded, tokenizer


def config_without_code(model: Path | str, what: str) -> dict[str, Any]:
    """What config.json says.

    Raises:
        ModelError: transformers itself does not know the types, so that code of the repository would be needed.
    """
    config, _ = PreTrainedConfig.get_config_dict(model)
    tokenizer = get_tokenizer_config(model)
    tokenizer_class = tokenizer.get("tokenizer_class")
    own_tokenizer = tokenizer_class and tokenizer_class_from_name(tokenizer_class) is None
    for part, needed in (
        (f"type {config.get('model_type')!r}", "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING),
        (f"tokenizer {tokenizer_class!r}", "auto_map" in tokenizer and own_tokenizer),
        # Compiled code from the hub, which the package `kernels` would fetch.
        ("attention kernel", any("/" in str(config.get(key)) for key in config if key.endswith("_implementation"))),
    ):
        if needed:
            raise ModelError(
                f"{what} {str(model)!r}: its {part} needs code from its repository, which is never run; "
                "use a model that transformers itself knows"
            )
    return dict(config)


def chat_prompts(model: str, tokenizer: PreTrainedTokenizerBase, prompts: PromptsConfig) -> ChatPrompts:
    """The chat template that questions are put through.

    Raises:
        ModelError: The model has none, and none is given.
    """
    if prompts.template is not None:
        return ChatPrompts(tokenizer, read_template(prompts.template), f"prompts.template {prompts.template}")
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError as error:  # none, or several and no default
        raise ModelError(
            f"model {model!r} has no chat template; set prompts.format: plain, or give one in a file with "
            "prompts.template"
        ) from error
    return ChatPrompts(tokenizer, template, f"the chat template of model {model!r}")


def _check_chat_tokens(chat: ChatPrompts, size: int) -> None:
    beyond = [token for token, _ in chat.encode(chat.request("a"), chat.lead) if token >= size]
    if beyond:
        raise ModelError(
            f"the chat template has the token {beyond[0]}, and the model {size} embeddings; use its own template"
        )


def resolve_device(device: str) -> torch.device:
    """The torch device of a name; ``auto`` is CUDA where there is one. Processes on one machine take a GPU each.

    Raises:
        ConfigError: Several processes on one machine, which work on one command, are given one GPU.
        ModelError: There is no such device.
    """
    if device.startswith("cuda:") and processes().count > 1 and processes_here() > 1:
        raise ConfigError(
            f"device: {device} is one GPU, and {processes_here()} processes are on this machine; leave the number out, "
            "and each takes its own (aspire-llm run … --set device=cuda)"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and process_count() > 1 and torch.cuda.device_count() > 1:
        device = f"cuda:{process_index_here()}"
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} is not available here; use auto, cpu or an existing cuda:N") from error
    return resolved


@contextmanager
def quiet_loading(what: str) -> Iterator[None]:
    """Within, transformers prints nothing, and whatever it makes of files that it cannot read is a `ModelError`.

    Args:
        what: What cannot be done then.
    """
    with _quietly(), _in_one_line(what):
        yield


@contextmanager
def _quietly() -> Iterator[None]:
    """Within, transformers prints neither bars nor tables: what is wrong is said in an error."""
    # For pickled weights of the hub, transformers would have a service of the hub convert them, in a thread.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


@contextmanager
def _in_one_line(what: str, hint: str = "") -> Iterator[None]:
    """Within, whatever other libraries make of files that they cannot read is a `ModelError`."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="torch")  # what it says of a pickle before it refuses it
            yield
    except ModelError:
        raise
    except UnpicklingError as error:
        raise ModelError(
            f"{what}: its weights hold more than tensors, and that is never run; use safetensors"
        ) from error
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{what}: {lines[0]}{hint}") from error
