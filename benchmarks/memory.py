"""Peak memory of a job above its model, in a process of its own: resident pages, or what torch took of a GPU.

`python -m benchmarks.memory MODULE SIDE MODEL CASE` builds the model, runs `MODULE.run_once` and prints the bytes. A
process of its own sees all memory, whoever allocates it, and nothing that an earlier job left behind.
"""

import gc
import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import torch

from aspire_llm.lm.memory import PeakMemory, give_back_freed, taken_memory
from benchmarks.models import model


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
    if PeakMemory(torch.device("cpu")).peak() is None:
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
    _, _, name = model_name.partition("@")
    device = torch.device(name or "cpu")
    job(side, f"opt-tiny@{name}", **arguments)  # libraries load and make their own buffers
    model(model_name)
    _give_back()
    before, memory = taken_memory(device), PeakMemory(device)
    job(side, model_name, **arguments)
    peak = memory.peak()
    _give_back()
    print(peak, taken_memory(device) - before)


def _give_back() -> None:
    """Return what is free to the system, so that it does not count."""
    gc.collect()
    give_back_freed()


if __name__ == "__main__":
    main(*sys.argv[1:])
