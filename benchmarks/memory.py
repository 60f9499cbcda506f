"""Peak memory of a job above its model, in a process of its own: resident pages, or what torch took of a GPU.

`python -m benchmarks.memory MODULE SIDE MODEL CASE` builds the model, runs `MODULE.run_once` and prints the bytes. A
process of its own sees all memory, whoever allocates it, and nothing that an earlier job left behind.
"""

import ctypes
import gc
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.models import model

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Used:
    """Bytes above the model.

    Attributes:
        peak: At most at any moment of the job.
        kept: Still held after it, results aside: what a backbone prepared once for all later jobs.
    """

    peak: int
    kept: int


def both_sides(module: str, model_name: str, case: dict[str, Any]) -> tuple[Used, Used] | None:
    """Of ours and of the peer; None where the system does not tell (Linux does)."""
    if not _RESET.exists():
        return None
    return used(module, "ours", model_name, case), used(module, "peer", model_name, case)


def used(module: str, side: str, model_name: str, case: dict[str, Any]) -> Used:
    """Of one side of a case, measured in a new process."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", module, side, model_name, json.dumps(case)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"measuring memory of {module} ({side}) failed:\n{result.stderr[-2000:]}")
    peak, kept = result.stdout.split()[-2:]
    return Used(int(peak), int(kept))


def main(module: str, side: str, model_name: str, case: str) -> None:
    """Measure in this process."""
    arguments = json.loads(case)
    job = importlib.import_module(module).run_once
    _, _, device = model_name.partition("@")
    job(side, f"opt-tiny@{device}", **arguments)  # libraries load and make their own buffers
    model(model_name)
    _give_back()
    if device:
        _on_gpu(partial(job, side, model_name, **arguments))
        return
    before = _status("VmRSS")
    _RESET.write_text("5", encoding="ascii")  # the peak counts from here
    job(side, model_name, **arguments)
    peak = _status("VmHWM")
    _give_back()
    print(peak - before, _status("VmRSS") - before)


def _on_gpu(job: Callable[[], None]) -> None:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    job()
    peak = torch.cuda.max_memory_allocated()
    _give_back()
    print(peak - before, torch.cuda.memory_allocated() - before)


def _give_back() -> None:
    """Return what is free to the system, so that it does not count."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _status(key: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return int(kilobytes) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
