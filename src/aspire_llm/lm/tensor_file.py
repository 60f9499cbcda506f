"""Tensors with a small JSON state in one safetensors file, whole or not there."""

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aspire_llm.processes import processes
from aspire_llm.rundir.writing import replacing


def write_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any] | None = None) -> None:
    """Write the tensors; `state` must be ready for JSON.

    Raises:
        OSError: They cannot be written.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write() -> None:
        with replacing(path) as file:
            try:
                save_file(content, file, metadata={"state": json.dumps(state)} if state is not None else None)
            except SafetensorError as error:
                raise OSError(errno.EIO, str(error), str(path)) from error

    processes().once(write)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote with a state."""
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["state"])  # noqa: SIM118
