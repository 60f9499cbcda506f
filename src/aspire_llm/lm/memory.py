"""Where a model is: what that is called, and how much memory is free there."""

import contextlib
import ctypes

import psutil
import torch

from aspire_llm.processes import processes_here


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
