"""Work side by side, from several threads at once: each keeps the threads that torch gave it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import pytest
import torch

from cmr_hub.encoders.images.parallel import pieces_in_work, thread_map
from cmr_hub.training.threads import torch_threads

SECONDS = 60


@pytest.fixture(autouse=True)
def _two_threads():
    with torch_threads(2):
        yield
        assert torch.get_num_threads() == 2


def threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_in_order(count) -> None:
    assert list(thread_map(lambda item: item * item, range(count))) == [
        item * item for item in range(count)
    ]


def test_few_items_are_taken_ahead() -> None:
    taken = []

    def items():
        for item in range(50):
            taken.append(item)
            yield item

    for done in thread_map(lambda item: item, items()):
        assert len(taken) - done <= pieces_in_work() == 5


def test_each_works_with_one_thread_and_a_new_thread_has_all() -> None:
    both = Barrier(2)

    def work(_: int) -> tuple[int, int]:
        both.wait(SECONDS)  # both workers are there
        new = threads_of_a_new_thread()
        both.wait(SECONDS)
        return torch.get_num_threads(), new

    assert set(thread_map(work, range(4))) == {(1, 2)}
    assert threads_of_a_new_thread() == 2


def test_a_thread_that_began_meanwhile_works_side_by_side_too() -> None:
    begun, over = Event(), Event()
    both = Barrier(2, begun.set)
    seen: list[list[int]] = []

    def first(_: int) -> None:
        both.wait(SECONDS)
        assert over.wait(SECONDS)

    outer = Thread(target=lambda: list(thread_map(first, range(4))))
    outer.start()
    try:
        assert begun.wait(SECONDS)
        inner = Thread(
            target=lambda: seen.append(
                [torch.get_num_threads(), *thread_map(lambda item: item, range(4))]
            )
        )
        inner.start()
        inner.join(SECONDS)
    finally:
        over.set()
        outer.join(SECONDS)
    assert seen == [[2, 0, 1, 2, 3]]
    assert threads_of_a_new_thread() == 2


def test_what_fails_leaves_the_threads_too() -> None:
    with pytest.raises(ZeroDivisionError):
        list(thread_map(lambda item: 1 // item, [1, 1, 0, 1]))
    assert threads_of_a_new_thread() == 2
