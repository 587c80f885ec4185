"""Freed memory is kept by the process and used again, where glibc would give it back to the kernel.

glibc maps every larger block anew and unmaps it when it is freed: a training step takes the same megabytes again and again, and
each time the kernel must find pages and zero them. With gradients of a whole table of a million items this is more than half of a
step (benchmarks/LOG.md). The process then keeps what it needed at most, which it would need again in the next step.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_THRESHOLDS = (2**30, 2**25)
"""The first that glibc takes; before version 2.35 it refuses more than the second."""
_NEVER = 2**31 - 1
_OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Ask glibc to, and return whether it will. Where the environment chooses an allocator or its settings, that is left alone."""
    if sys.platform != "linux" or any(name in os.environ for name in _OWN_SETTINGS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return any(mallopt(_MMAP_THRESHOLD, size) for size in _THRESHOLDS) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
