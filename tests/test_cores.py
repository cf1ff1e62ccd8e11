"""Threads are counted as torch counts them, also before it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import pytest
import torch

from cmr_hub.cores import take_one, threads
from cmr_hub.encoders.images.parallel import thread_map
from cmr_hub.training.threads import torch_threads

WITHOUT_TORCH = """
import sys
from cmr_hub.cores import threads
from cmr_hub.encoders.images.parallel import thread_map
print(threads(), set(thread_map(lambda _: threads(), range(9))), "torch" in sys.modules)
"""


@pytest.mark.parametrize("count", [1, 2, 3])
def test_torch_says_how_many(count) -> None:
    with torch_threads(count):
        assert threads() == count
        assert set(thread_map(lambda _: threads(), range(9))) == {1}
    assert threads() == torch.get_num_threads()


def test_one_thread_takes_no_other() -> None:
    found = []

    def work() -> None:
        take_one()
        found.append(threads())

    with torch_threads(2):
        thread = Thread(target=work)
        thread.start()
        thread.join()
        assert (found, threads()) == ([1], 2)


@pytest.mark.parametrize("wanted", ["3", "many", "0", None])
def test_without_torch(wanted) -> None:
    given = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if wanted is not None:
        given["OMP_NUM_THREADS"] = wanted
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], env=given, capture_output=True, text=True, check=True
    )
    usable = 3 if wanted == "3" else len(os.sched_getaffinity(0))
    assert run.stdout.split() == [str(usable), "{1}", "False"]
