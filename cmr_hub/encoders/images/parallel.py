"""Process pictures in parallel threads."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from threading import Lock, Thread
from typing import TypeVar

from cmr_hub.cores import take_one, threads

In = TypeVar("In")
Out = TypeVar("Out")

_AHEAD = 2  # items per thread, so that no thread waits for its next one
_changing = Lock()
"""Protects the number of threads of torch, which is briefly set to one for the whole process."""


def pieces_in_work() -> int:
    """Return the maximum number of items that `thread_map` processes at a time."""
    count = _threads()
    return 1 if count == 1 else _AHEAD * count + 1


def thread_map(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """Return `map(work, items)`, computed in as many threads as torch uses.

    Each thread uses one thread of torch, because threads that share a convolution wait for each
    other whenever another program occupies a core. Items are consumed lazily, a few at a time. The
    function is thread-safe, and does not change the number of threads of torch in its callers. If
    torch is not imported, the number of threads is the one torch would use.
    """
    count, most = _threads(), pieces_in_work()
    if count == 1:
        yield from map(work, items)
        return
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(count, initializer=_take_one, initargs=(count,)) as pool:
        for item in chain(first, source):
            waiting.append(pool.submit(work, item))
            if len(waiting) == most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _threads() -> int:
    """Return the number of threads available to the calling thread."""
    with _changing:
        return threads()


def _take_one(usual: int) -> None:
    """Limit torch to one thread in the calling thread, and reset the process to `usual`.

    torch has a number of threads per thread, which is initialised from the number of the process
    when the thread first computes something. `set_num_threads` changes both, so the number of the
    process must be reset. Otherwise every new thread would use one thread.
    """
    take_one()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    with _changing:
        torch.get_num_threads()  # initialises the number of this thread
        torch.set_num_threads(1)
        other = Thread(target=torch.set_num_threads, args=(usual,))
        other.start()
        other.join()
