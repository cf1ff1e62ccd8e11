"""One picture's work to each core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

In = TypeVar("In")
Out = TypeVar("Out")


def side_by_side(work: Callable[[In], Out], items: Sequence[In]) -> Iterator[Out]:
    """`map(work, items)` in as many threads as torch has, each with one thread of torch's own.

    Threads that share one convolution wait for each other whenever another program takes a core.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(items) == 1:
        yield from map(work, items)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, items)
    finally:
        torch.set_num_threads(threads)
