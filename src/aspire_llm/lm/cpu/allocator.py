"""Large temporaries on CPU: their memory stays with the process instead of going back to the system after every use.

A pass over a long prompt makes and drops dozens of tensors of several megabytes. By default glibc maps such blocks anew
each time, and the system clears every page again: measured at OPT-125M size, that was a fifth of the time that a prompt
of 650 positions takes (see docs/experiments.md).

Compiled kernels are the contrary: oneDNN makes one for every number of rows, of nearly a megabyte, and two caches keep
a thousand each. A run makes few; a server, which meets batches of all sizes, would grow for hours.
"""

import ctypes
import os
import sys
from functools import cache

_KERNELS = "128"  # that are kept; on the embedded model, questions take up to a tenth longer than with all
_KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of oneDNN, and of torch's layer above it

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def keep_freed_memory() -> bool:
    """Let malloc keep freed blocks of up to a gigabyte (32 MiB by older versions), for the whole process.

    Returns:
        Whether it was done: only where malloc is glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    keeps = any(mallopt(_M_MMAP_THRESHOLD, most) for most in (2**30, 2**25))  # before 2.35, glibc takes 32 MiB at most
    return bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)) and keeps


def keep_few_kernels() -> None:
    """For a process without end: let oneDNN keep few kernels, unless the environment says how many.

    Without effect once it has made one.
    """
    for name in _KERNEL_CACHES:
        os.environ.setdefault(name, _KERNELS)
