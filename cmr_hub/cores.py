"""How many threads to compute with, counted as torch counts them, whether or not it is there."""

from __future__ import annotations

import os
import sys
import threading

_own = threading.local()


def threads() -> int:
    """How many threads what is called from this one may take."""
    own: int | None = getattr(_own, "count", None)
    if own is not None:
        return own
    # Importing torch takes longer than a whole search by those who do without it.
    of_torch = getattr(sys.modules.get("torch"), "get_num_threads", None)
    return _usable() if of_torch is None else int(of_torch())


def take_one() -> None:
    """From now on this thread takes no other beside itself."""
    _own.count = 1


def _usable() -> int:
    """The processors of this process, or fewer where OMP_NUM_THREADS says so."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    of_process = getattr(os, "sched_getaffinity", None)  # only Linux tells
    return len(of_process(0)) if of_process else os.cpu_count() or 1
