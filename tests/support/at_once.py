"""Many things done at the same time, each in a thread of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")
_SECONDS = 60


def at_once(works: Iterable[Callable[[], T]]) -> list[T]:
    """What each of these gives; the first error is raised when all have ended.

    All begin together, and the interpreter goes from one thread to another far more often than it
    usually does, so that what they must not do together comes to light.
    """
    chosen = list(works)
    begin = Barrier(len(chosen))

    def run(work: Callable[[], T]) -> T:
        begin.wait(_SECONDS)
        return work()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(len(chosen)) as pool:
            return [future.result() for future in [pool.submit(run, work) for work in chosen]]
    finally:
        sys.setswitchinterval(interval)
