"""One model's weights in parts, a part in each process; all processes then compute the same passes together.

``tensor`` splits the matrices themselves, as the model's own plan in transformers says: every process computes with its
part of each, and activations travel. ``fsdp`` splits the weights of each decoder layer (torch's `fully_shard`): a layer
comes together where it computes, and falls apart behind it. The embeddings, the head and what else stands outside of
the layers, every process then has whole: they are looked up outside of the model's forward pass, too.

Adapters are never split. Which passes come next depends on the logits, so all processes take the main one's: rounding
of their own would have them wait for each other for ever.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoConfig, PreTrainedModel

from aspire_llm.errors import ModelError
from aspire_llm.lm.memory import give_back_freed
from aspire_llm.lm.upstream import DistributedConfig, GradientCheckpointingLayer, has_tensor_plan
from aspire_llm.processes import process_index_here, processes, processes_here, weights_group


@dataclass(frozen=True, slots=True)
class TensorPart:
    """This process's part of each matrix, by the model's own plan.

    Attributes:
        device: Where the parts go.
    """

    device: torch.device


def check_device(device: torch.device) -> None:
    """Refuse a device on which the processes cannot have a part each; a GPU becomes this process's own.

    Raises:
        ModelError: With what there is.
    """
    if device.type not in ("cuda", "cpu"):
        raise ModelError(f"sharding works on CUDA and on CPU, not on {device.type}; set device to one of them")
    if device.type == "cpu":
        return
    if torch.cuda.device_count() < processes_here():
        raise ModelError(
            f"sharding takes a GPU for each process: {processes_here()} processes are on this machine, and "
            f"{torch.cuda.device_count()} GPUs; start fewer, or have LOCAL_WORLD_SIZE say how many there are on each"
        )
    torch.cuda.set_device(device)


def tensor_split(kind: type[Any], model: Path | str, device: torch.device) -> DistributedConfig:
    """What has `from_pretrained` load this process's part of each matrix, and nothing of the others'.

    Args:
        kind: The class of transformers that chooses the architecture.
        model: A folder or hub id.
        device: Where the parts go.

    Raises:
        ModelError: The model has no plan for it, or its attention heads cannot be shared out evenly.
    """
    accelerator = torch.accelerator.current_accelerator()  # which transformers takes, whatever it is told
    if device.type != (accelerator.type if accelerator else "cpu"):
        raise ModelError(f"sharding: tensor computes on {accelerator}, not on {device}; set device: auto, or use fsdp")
    config, count = AutoConfig.from_pretrained(model, trust_remote_code=False), processes().count
    with torch.device("meta"):
        empty: PreTrainedModel = kind.from_config(config)
    if not has_tensor_plan(empty):
        raise ModelError(f"{config.model_type!r} models have no plan for sharding: tensor; use sharding: fsdp")
    for name in ("num_attention_heads", "num_key_value_heads"):
        heads = getattr(config.get_text_config(), name, None) or count
        if heads % count:
            raise ModelError(
                f"sharding: tensor cannot share {heads} heads ({name}) among {count} processes; start a number of them "
                "that divides it, or use fsdp"
            )
    return DistributedConfig(tp_size=count)


def let_go_of_the_rest(model: PreTrainedModel) -> PreTrainedModel:
    """Have a model that was loaded by `tensor_split` hold its parts alone.

    In main memory, rows of a matrix are loaded as a view of the whole matrix, which would stay.
    """
    own: dict[Tensor, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if not isinstance(parameter, DTensor):
                continue
            if parameter not in own:  # else it is tied to one that was seen
                part = DTensor.from_local(
                    parameter.to_local().detach().clone(),
                    parameter.device_mesh,
                    parameter.placements,
                    run_check=False,
                    shape=parameter.shape,
                    stride=parameter.stride(),
                )
                own[parameter] = nn.Parameter(part, requires_grad=False)
            setattr(module, name, own[parameter])
    return model


def loaded_in_layers(load: Callable[[], PreTrainedModel], device: torch.device) -> PreTrainedModel:
    """Load a model and keep this process's part of each layer on a device.

    The processes of a machine take turns, so that its main memory holds one whole model at a time; a GPU never holds
    more than its part and one layer.

    Args:
        load: Loads the whole model into main memory.
        device: Where the part goes.

    Raises:
        ModelError: The model does not show its layers.
    """
    mesh = DeviceMesh.from_group(weights_group(), device.type)
    turns = -processes().least(-processes_here())
    for turn in range(turns):
        if turn == process_index_here():
            model = load()
            _split_layers(model, mesh, device)
            give_back_freed()
        processes().wait()
    return model


def _split_layers(model: PreTrainedModel, mesh: DeviceMesh, device: torch.device) -> None:
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ModelError(f"{model.config.model_type!r} models do not show their layers, which sharding: fsdp splits")
    model.requires_grad_(False)
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    split = {parameter for layer in layers for parameter in layer.parameters()}
    whole = {parameter for parameter in model.parameters() if parameter not in split}
    for tensor in (*whole, *model.buffers()):
        tensor.data = tensor.data.to(device)
    # The root has no weights of its own; it has layers fetch the next one's while they compute.
    fully_shard(model, mesh=mesh, ignored_params=whole)


def agree_on_logits(model: PreTrainedModel) -> None:
    """From now on, passes without gradient give the main process's logits in all processes.

    With gradients, no pass follows from a pass: losses and gradients are agreed upon as they are (`AdapterOptimizer`).
    """

    def take(_model: nn.Module, _arguments: Any, output: Any) -> None:
        if not torch.is_grad_enabled():
            processes().agree([output.logits])

    model.register_forward_hook(take)
