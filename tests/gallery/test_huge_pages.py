"""Memory in large pages holds what it held, and the kernel says that the pages are large."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from cmr_hub.gallery.huge_pages import in_huge_pages

MEBIBYTE = 2**20


def huge_kibibytes(address: int) -> int:
    """Of the mapping that holds an address, how much is in large pages."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="ascii").splitlines():
        name, *values = line.split()
        if "-" in name and not name.endswith(":"):
            first, last = (int(end, 16) for end in name.split("-"))
            inside = first <= address < last
        elif inside and name == "AnonHugePages:":
            return int(values[0])
    raise AssertionError("no mapping has this address")


def waited(*arrays: np.ndarray) -> None:
    before = set(threading.enumerate())
    in_huge_pages(arrays, *arrays)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for large pages")
def test_pages_are_large_and_hold_the_same() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    # Not NumPy's own memory, which it puts in large pages itself.
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    array = np.frombuffer(mmap.mmap(-1, 64 * MEBIBYTE, flags=private), np.int64)
    expected = np.arange(len(array))
    array[:] = expected
    place = array.ctypes.data + array.nbytes // 2
    if "[madvise]" in setting:
        assert huge_kibibytes(place) == 0
    waited(array)
    np.testing.assert_array_equal(array, expected)
    if "[never]" not in setting:
        assert huge_kibibytes(place) > 32 * 1024


def test_little_memory_and_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: object) -> object:
        raise AssertionError("the system was asked")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    in_huge_pages(None, np.zeros(MEBIBYTE, np.uint8))
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    in_huge_pages(None, np.zeros(64 * MEBIBYTE, np.uint8))
