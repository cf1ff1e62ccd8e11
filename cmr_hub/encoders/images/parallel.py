"""One picture's work to each core."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import torch

In = TypeVar("In")
Out = TypeVar("Out")

_AHEAD = 2  # pieces of work for each thread: it never waits for the next one


def pieces_in_work() -> int:
    """How many items `side_by_side` holds at a time, at most."""
    threads = torch.get_num_threads()
    return 1 if threads == 1 else _AHEAD * threads + 1


def side_by_side(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """`map(work, items)` in as many threads as torch has, each with one thread of torch's own.

    Threads that share one convolution wait for each other whenever another program takes a core.
    Items are taken as they are needed, and those that are being worked on are few.
    """
    threads, most = torch.get_num_threads(), pieces_in_work()
    if threads == 1:
        yield from map(work, items)
        return
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    waiting: deque[Future[Out]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for item in chain(first, source):
                waiting.append(pool.submit(work, item))
                if len(waiting) == most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)
