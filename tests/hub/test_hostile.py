"""Each hostile directory is refused with its own message, quickly, and nothing happens."""

import os
import re
import time
from pathlib import Path

import pytest
from hostile import HOSTILE, MARKER, hostile_copy

import cmr_hub
from cmr_hub.errors import CMRError

SECONDS, MEGABYTES = 2, 200


def reset_peak() -> None:
    """Makes the highest memory use so far the present one (Linux)."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> float:
    """`VmHWM`, the highest memory use, or `VmRSS`, the present one, in MB; 0 elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    (kilobytes,) = re.findall(rf"{field}:\s*(\d+) kB", status.read_text())
    return int(kilobytes) / 1000


def everything_in(folder: Path) -> set[Path]:
    return {Path(at, name) for at, *found in os.walk(folder) for names in found for name in names}


@pytest.fixture(autouse=True)
def marker(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(MARKER, str(tmp_path / "executed"))
    return tmp_path / "executed"


@pytest.mark.parametrize("name", HOSTILE)
def test_refused(saved_model, tmp_path, marker, name) -> None:
    directory, message = hostile_copy(saved_model, tmp_path / "model", name)
    before = everything_in(tmp_path)
    reset_peak()
    at_first, started = memory("VmRSS"), time.perf_counter()
    with pytest.raises(CMRError, match=message) as caught:
        cmr_hub.load(directory)
    assert time.perf_counter() - started < SECONDS
    assert memory("VmHWM") - at_first < MEGABYTES
    assert len(str(caught.value)) < 1000
    assert not marker.exists()
    assert everything_in(tmp_path) == before


def test_thirty_and_each_with_its_own_message() -> None:
    messages = [message for _, message in HOSTILE.values()]
    assert len(set(messages)) == len(messages) >= 30


def test_the_undamaged_one_is_loaded(saved_model) -> None:
    assert cmr_hub.load(saved_model).search("flame", k=1)
