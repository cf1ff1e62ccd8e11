"""Number of threads for computations: the same as torch's, even if torch is not imported."""

from __future__ import annotations

import os
import sys
import threading

_local = threading.local()


def threads() -> int:
    """Return the number of threads that work started by this thread may use."""
    count: int | None = getattr(_local, "count", None)
    if count is not None:
        return count
    # Importing torch would take longer than a complete search without it.
    torch_threads = getattr(sys.modules.get("torch"), "get_num_threads", None)
    return _usable() if torch_threads is None else int(torch_threads())


def take_one() -> None:
    """Restrict work started by this thread to one thread."""
    _local.count = 1


def _usable() -> int:
    """Return OMP_NUM_THREADS, or the number of processors available to this process."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    if setting.isdecimal() and int(setting):
        return int(setting)
    affinity = getattr(os, "sched_getaffinity", None)  # only on Linux
    return len(affinity(0)) if affinity else os.cpu_count() or 1
