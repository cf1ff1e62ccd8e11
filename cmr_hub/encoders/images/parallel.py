"""One picture's work to each core."""

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

_AHEAD = 2  # pieces of work for each thread: it never waits for the next one
_changing = Lock()
"""Held while torch's number of threads is for a moment that of one thread."""


def pieces_in_work() -> int:
    """How many items `side_by_side` holds at a time, at most."""
    count = _threads()
    return 1 if count == 1 else _AHEAD * count + 1


def side_by_side(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """`map(work, items)` in as many threads as torch has, each with one thread of torch's own.

    Threads that share one convolution wait for each other whenever another program takes a core.
    Items are taken as they are needed, and those that are being worked on are few. It may be called
    from several threads at once; torch's number of threads stays what it is in all others. Where
    torch is not there, as many threads are taken as it would have.
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
    """How many threads there are for this thread."""
    with _changing:
        return threads()


def _take_one(usual: int) -> None:
    """Gives this thread one thread of torch's own, and leaves the process `usual`.

    torch keeps a number for each thread, which begins with that of the process when the thread
    first computes something. `set_num_threads` changes both, so a thread that lives no longer than
    that sets the latter back: else every new thread would be left with one, for good.
    """
    take_one()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    with _changing:
        torch.get_num_threads()  # begins
        torch.set_num_threads(1)
        other = Thread(target=torch.set_num_threads, args=(usual,))
        other.start()
        other.join()
