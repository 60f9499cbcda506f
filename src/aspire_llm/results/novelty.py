"""What tells whether a question is novel, as it is stored: `novelty.safetensors`."""

import json
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from aspire_llm.errors import RunDirectoryError
from aspire_llm.selection import Infeasible, NoveltyGuard
from aspire_llm.selection.novelty import View

NAME = "novelty.safetensors"
_STATES = "states"
_VIEW = tuple(field.name for field in fields(View))


def write_novelty(folder: Path, guard: NoveltyGuard | Infeasible) -> None:
    """Write the guard, or why there is none; whole or not at all."""
    if isinstance(guard, Infeasible):
        content = save({}, metadata={"reason": guard.reason})
    else:
        view = {name: np.ascontiguousarray(getattr(guard.view, name)) for name in _VIEW}
        content = save({_STATES: guard.states, **view}, metadata={"groups": json.dumps(guard.groups)})
    temporary = folder / f".{NAME}.tmp"
    temporary.write_bytes(content)
    os.replace(temporary, folder / NAME)


def read_novelty(folder: Path) -> NoveltyGuard | Infeasible:
    """Read what `write_novelty` wrote.

    Raises:
        RunDirectoryError: The file is missing or holds something else.
    """
    path = folder / NAME
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            if "reason" in facts:
                return Infeasible(facts["reason"])
            view = View(*(file.get_tensor(name) for name in _VIEW))
            return NoveltyGuard(view, file.get_tensor(_STATES), json.loads(facts["groups"]))
    except FileNotFoundError as error:
        raise RunDirectoryError(f"{path}: missing; run aspire-llm run again") from error
    except (SafetensorError, OSError, KeyError, ValueError, IndexError) as error:
        raise RunDirectoryError(f"{path} holds no calibration questions ({error}); make it again") from error
