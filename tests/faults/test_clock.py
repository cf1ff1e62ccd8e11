"""Setting the clock back affects neither expiry nor the detection of changes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from cmr_hub.apps.search_page import sessions
from cmr_hub.apps.search_page.sessions import Sessions
from cmr_hub.apps.search_page.visitor_files import VisitorFolder
from cmr_hub_sketches.painter import file_name, paint_missing

pytestmark = pytest.mark.faults

FAR = time.time() + 1e6


@pytest.fixture
def clock_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set Python's clock back, so that all files appear to be written in the future."""
    monkeypatch.setattr(time, "time", lambda: 1e9)


def test_what_another_process_draws_is_left_alone(tmp_path: Path, clock_back: None) -> None:
    """The temporary file of the other process is newer than the clock."""
    theirs = tmp_path / f".{file_name(0)}.0123.tmp"
    theirs.write_bytes(b"half")
    paint_missing(tmp_path, "test", 1)
    assert theirs.exists()
    assert (tmp_path / file_name(0)).exists()


def test_a_visitor_is_not_sent_away(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions expire by a monotonic clock."""
    open_now = Sessions(model, VisitorFolder())
    open_now.open("one")
    for moment in (1e9, FAR):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        open_now.open("two")
        assert open_now.find("one") is not None
    later = time.monotonic() + sessions.IDLE_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    open_now.open("three")
    assert open_now.find("one") is None
    for name in ("two", "three"):
        open_now.close(name)


def test_the_dashboard_reads_what_was_written_earlier(tmp_path: Path) -> None:
    from cmr_hub.apps.dashboard.sources import stamp

    file = tmp_path / "runs.jsonl"
    file.write_text("one")
    first = stamp(file)
    assert stamp(file) == first
    seconds = file.stat().st_mtime
    file.write_text("two")
    os.utime(file, (seconds - 3600, seconds - 3600))
    assert stamp(file) != first
    # Replace it with another file of the same size and modification time.
    (tmp_path / "new").write_text("two")
    os.utime(tmp_path / "new", ns=(file.stat().st_mtime_ns, file.stat().st_mtime_ns))
    second = stamp(file)
    (tmp_path / "new").replace(file)
    assert stamp(file) != second


def test_features_go_by_content(
    colour_folder: Path, mobilenet: Any, tmp_path: Path, clock_back: None
) -> None:
    from cmr_hub.encoders.feature_cache import FeatureCache

    red, green = (colour_folder / "test" / f"{name}0.png" for name in ("flame", "grass"))
    picture = tmp_path / "picture.png"
    cache = FeatureCache(tmp_path / "cache")
    rows = []
    for source in (red, green):
        picture.write_bytes(source.read_bytes())
        os.utime(picture, (1e8, 1e8))
        rows.append(cache.encode(mobilenet, [picture])[0])
    assert (rows[0] != rows[1]).any()
