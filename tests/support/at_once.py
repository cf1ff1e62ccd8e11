"""Run several functions concurrently, each in its own thread."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")
_SECONDS = 60


def at_once(works: Iterable[Callable[[], T]]) -> list[T]:
    """Return the results of all functions; raise the first error after all have finished.

    All functions start at the same time, and the interpreter switches threads far more often than
    usual, so that race conditions become visible.
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
