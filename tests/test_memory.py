"""How much memory is free, as Linux and its containers tell it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cmr_hub.memory import free_memory

MEMINFO = "MemTotal:       24684000 kB\nMemAvailable:   1000 kB\nHugePages_Total:       0\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 0),
        ({"proc/meminfo": "MemTotal: 1 kB\n"}, 0),
        ({"proc/meminfo": "nothing"}, 0),
        ({"proc/meminfo": MEMINFO}, 1_024_000),
        (
            {
                "proc/meminfo": MEMINFO,
                "sys/fs/cgroup/memory.max": "max\n",
                "sys/fs/cgroup/memory.current": "5\n",
            },
            1_024_000,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "sys/fs/cgroup/memory.max": "5000\n",
                "sys/fs/cgroup/memory.current": "2000\n",
            },
            3000,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "6000\n",
            },
            0,
        ),
    ],
)
def test_what_is_free(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    write(tmp_path, files)
    assert free_memory(tmp_path) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is free")
def test_of_this_machine() -> None:
    assert 2**20 < free_memory() < 2**50
