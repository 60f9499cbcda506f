"""Where a model is: what that is called, and how much memory is free there."""

import contextlib
import ctypes
from pathlib import Path

import psutil
import torch

from aspire_llm.processes import processes_here

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def device_name(device: torch.device) -> str:
    """The device, with the name of the card where it is a GPU."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; on CPU, this process's share, once malloc gives back what it keeps."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    give_back_freed()
    return int(psutil.virtual_memory().available) // processes_here()


def give_back_freed() -> None:
    """Have malloc give what it keeps of freed memory back to the system."""
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def taken_memory(device: torch.device) -> int:
    """Bytes that torch takes of a GPU now, or else the process of main memory.

    Raises:
        OSError: The system does not tell; Linux does.
    """
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else _resident("VmRSS")


class PeakMemory:
    """The most memory that is taken from now on, above what is taken now.

    Args:
        device: Where: what torch takes of a GPU, else what the process takes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._before = device, 0
        with contextlib.suppress(OSError):
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            else:
                give_back_freed()
                _RESET.write_text("5", encoding="ascii")  # the peak counts from here
            self._before = taken_memory(device)

    def peak(self) -> int | None:
        """Bytes; None where the system does not tell (Linux does)."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device)) - self._before
        return max(0, _resident("VmHWM") - self._before) if self._before else None


def _resident(key: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return int(kilobytes) * 1024
