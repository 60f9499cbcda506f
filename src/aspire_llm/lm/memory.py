"""How much memory is free where a model is."""

import contextlib
import ctypes

import psutil
import torch


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; on CPU, once what malloc keeps of freed memory is given back."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.virtual_memory().available)
