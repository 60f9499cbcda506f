"""A safetensors file that holds one record, or the reason why there is none."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from aspire_llm.errors import RunDirectoryError
from aspire_llm.processes import processes
from aspire_llm.rundir.writing import replacing
from aspire_llm.selection import Infeasible

T = TypeVar("T")
Named: TypeAlias = dict[str, NDArray[Any]]

_BROKEN = (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True)
class ArraysFile(Generic[T]):
    """Where such a record is kept.

    Attributes:
        name: Of the file within its folder.
        holds: What it should hold, for error messages.
        to_arrays: The arrays of a record, and what else it says, ready for JSON.
        from_arrays: The record back.
    """

    name: str
    holds: str
    to_arrays: Callable[[T], tuple[Named, dict[str, Any]]]
    from_arrays: Callable[[Named, Any], T]

    def exists(self, folder: Path) -> bool:
        """Whether the folder has the file."""
        return (folder / self.name).is_file()

    def write(self, folder: Path, record: T | Infeasible) -> None:
        """Write the record, or why there is none; whole or not at all."""
        arrays: Named = {}
        if isinstance(record, Infeasible):
            facts = {"reason": record.reason}
        else:
            arrays, named = self.to_arrays(record)
            facts = {"facts": json.dumps(named)}
        content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=facts)

        def write() -> None:
            with replacing(folder / self.name) as target:
                target.write_bytes(content)

        processes().once(write)

    def read(self, folder: Path) -> T | Infeasible:
        """Read what `write` wrote.

        Raises:
            RunDirectoryError: The file is missing or holds something else.
        """
        path = folder / self.name
        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
                if "reason" in facts:
                    return Infeasible(facts["reason"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return self.from_arrays(arrays, json.loads(facts["facts"]))
        except FileNotFoundError as error:
            raise RunDirectoryError(f"{path}: missing; run aspire-llm run again") from error
        except _BROKEN as error:
            raise RunDirectoryError(f"{path} holds no {self.holds} ({error}); make it again") from error
