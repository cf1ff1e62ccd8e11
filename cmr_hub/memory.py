"""Check and limit memory use."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from cmr_hub.errors import TrainingError

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of <malloc.h>
_LARGE_BLOCK = 2**20


def require_memory(needed: int, what: str, advice: str) -> None:
    """Raise TrainingError if `what` needs more bytes than half of this machine's memory."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows, and some versions of macOS
        return
    if needed > total / 2:
        raise TrainingError(
            f"{what} needs {needed / 2**30:.1f} GiB, more than half of this machine's "
            f"{total / 2**30:.1f}; {advice}"
        )


def give_large_blocks_back() -> None:
    """Make the C library return large blocks to the system as soon as they are freed.

    By default glibc caches them per thread, so that four threads that have each read a large
    picture keep the memory of four. Do nothing with other C libraries.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)
