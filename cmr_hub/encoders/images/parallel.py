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


def side_by_side(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """`map(work, items)` in as many threads as torch has, each with one thread of torch's own.

    Threads that share one convolution wait for each other whenever another program takes a core.
    Items are taken as they are needed, and those that are being worked on are few.
    """
    threads = torch.get_num_threads()
    source = iter(items)
    first = list(islice(source, 2))
    if threads == 1 or len(first) < 2:
        yield from map(work, chain(first, source))
        return
    waiting: deque[Future[Out]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for item in chain(first, source):
                waiting.append(pool.submit(work, item))
                if len(waiting) > _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)
