"""Large temporaries on CPU: their memory stays with the process instead of going back to the system after every use.

A pass over a long prompt makes and drops dozens of tensors of several megabytes. By default glibc maps such blocks anew
each time, and the system clears every page again: measured at OPT-125M size, that was a fifth of the time that a prompt
of 650 positions takes (see docs/experiments.md).
"""

import ctypes
import sys
from functools import cache

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
