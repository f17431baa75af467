"""Large tensors without fetching their pages from the system each time.

glibc maps every block above a threshold of at most 32 MiB afresh and gives it back when it is freed. Attention over a
thousand tokens makes blocks larger than that in every layer: zeroing their pages took a fifth of a training step.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_INT_MAX = 2**31 - 1


def keep_freed_pages() -> bool:
    """Let this process reuse what it freed; for whole programs, not for libraries. False where malloc isn't glibc's."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _INT_MAX))
