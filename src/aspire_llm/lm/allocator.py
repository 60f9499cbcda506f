"""Large temporaries on CPU: their memory stays with the process instead of going back to the system after every use.

A pass over a long prompt makes and drops dozens of tensors of several megabytes. By default glibc maps such blocks anew
each time, and the system clears every page again: measured at OPT-125M size, that was a fifth of the time that a prompt
of 650 positions takes (see docs/experiments.md).
"""

import contextlib
import ctypes
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def keep_freed_memory() -> bool:
    """Let malloc keep freed blocks of up to a gigabyte, for the whole process.

    Returns:
        Whether it was done: only where malloc is glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def return_freed_memory() -> None:
    """Give back to the system what the process keeps freed, so that it counts as free."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
