"""Models that one device cannot hold: their layers spread over GPUs, memory and disk, by accelerate's hooks.

A layer's weights are brought where it computes when its forward pass begins, and let go when it ends. What is kept of a
pass for its gradient holds on to them until then: `recompute_layers` brings them a second time instead.
"""

import logging
import shutil
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from transformers import PreTrainedModel

from aspire_llm.errors import ModelError
from aspire_llm.lm.model_files import cache_folder
from aspire_llm.lm.upstream import leave_in_place
from aspire_llm.processes import process_count

DeviceMap: TypeAlias = Literal["auto", "balanced", "sequential"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placement:
    """How the layers of a model are spread.

    Attributes:
        device_map: Of transformers: GPUs first, then memory, then disk; ``auto`` and ``balanced`` fill GPUs evenly,
            ``sequential`` one after the other.
        max_memory: The most to use, by the number of a GPU or ``cpu``; others are not used. Empty: all that is free.
        offload_folder: Where weights are written that are not read from their own files; None: in the cache folder.
    """

    device_map: DeviceMap
    max_memory: Mapping[int | Literal["cpu"], str] = field(default_factory=dict)
    offload_folder: Path | None = None


def spread(
    load: Callable[..., tuple[PreTrainedModel, dict[str, Any]]], placement: Placement, name: str
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model whose layers are where they have room.

    Args:
        load: Takes what `from_pretrained` takes of this, and returns the model and the report on its weights.
        placement: Where they may be.
        name: What messages call the model.

    Returns:
        What `load` returned. A folder that it wrote weights into goes when the model does.

    Raises:
        ModelError: There are several processes, each of which would take all GPUs.
    """
    if process_count() > 1:
        raise ModelError("device_map gives one process all GPUs; leave it out, or run one process")
    # Files in it are called like weights, so no two models may share one.
    logging.getLogger("accelerate.big_modeling").setLevel(logging.ERROR)  # it says what the line below says
    folder = (placement.offload_folder or cache_folder() / "offload") / uuid4().hex
    try:
        model, report = load(
            device_map=placement.device_map,
            max_memory=dict(placement.max_memory) or None,
            offload_folder=str(folder),
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    # Which logits are wanted is looked up on the device of the last layer.
    leave_in_place(model, "logits_to_keep")
    parts = Counter(str(device) for device in getattr(model, "hf_device_map", {}).values())
    if len(parts) > 1 or "disk" in parts:
        _logger.warning("%s: its parts are on %s", name, ", ".join(f"{place} ({n})" for place, n in parts.items()))
    return model, report
