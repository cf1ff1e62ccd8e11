"""How much memory the machine has, asked before it is filled."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from cmr_hub.errors import TrainingError

_MMAP_THRESHOLD = -3  # as <malloc.h> has it
_LARGE_BLOCK = 2**20


def require_memory(needed: int, what: str, advice: str) -> None:
    """Raises TrainingError if `what` needs more bytes than half of this machine's memory."""
    if not hasattr(os, "sysconf"):  # Windows
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there / 2:
        raise TrainingError(
            f"{what} needs {needed / 2**30:.1f} GiB, more than half of this machine's "
            f"{there / 2**30:.1f}; {advice}"
        )


def give_large_blocks_back() -> None:
    """Has the C library give large blocks back to the system as soon as they are free.

    GNU's keeps them for each thread that has had some: four threads that have read one large
    picture after the other would keep the memory of four. Elsewhere this does nothing.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)
