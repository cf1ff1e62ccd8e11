"""Indexing that is killed, interrupted, out of disk space, run twice, or with a clock set back."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from cmr_process import STOPPED, Cmr, Cut, Ended
from pictures import picture

from cmr_hub.gallery.gallery import Gallery

pytestmark = pytest.mark.faults

PIECES = {"cmr_hub.gallery.indexing.index:_COMMIT_ROWS": 2}
COUNT = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COUNT):
        picture(tmp_path / "pictures" / f"{number}.png", number)
    return tmp_path / "pictures"


def index(cmr: Cmr, model: Path, folder: Path, out: Path, **options: Any) -> Ended:
    return cmr(*("index", folder, "--out", out, "--model", model), sets=PIECES, **options)


def paths(gallery: Path) -> list[str]:
    """Return the paths of all rows, and check that they are unique."""
    opened = Gallery.open(gallery)
    opened.store.verify()
    found: list[str] = opened.items["path"].to_pylist()
    assert len(set(found)) == len(found)
    return sorted(found)


def everything(folder: Path) -> list[str]:
    return sorted(map(str, folder.iterdir()))


@pytest.mark.parametrize(
    ("at", "after"),
    [
        ("cmr_hub.gallery.directory:GalleryDirectory.commit", False),
        ("cmr_hub.gallery.manifest:Manifest.write", True),
    ],
)
def test_killed_and_given_again(
    cmr: Cmr, saved_model: Path, folder: Path, tmp_path: Path, at: str, after: bool
) -> None:
    out = tmp_path / "gallery"
    # The first commit creates the empty gallery.
    assert index(cmr, saved_model, folder, out, cut=Cut(at, nth=3, after=after)).code == -9
    before = paths(out)
    assert len(before) == (4 if after else 2)
    again = index(cmr, saved_model, folder, out)
    assert again.code == 0, again.err
    assert f"{len(before)} unchanged" in again.out
    assert paths(out) == everything(folder)
    assert not list(out.glob("*.tmp"))


def test_stopped_by_the_user(cmr: Cmr, saved_model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    cut = Cut("cmr_hub.gallery.local:LocalStore.put", "stop", nth=2, after=True)
    ended = index(cmr, saved_model, folder, out, cut=cut)
    assert (ended.code, ended.err) == (130, STOPPED)
    assert len(paths(out)) >= 4
    assert index(cmr, saved_model, folder, out).code == 0
    assert paths(out) == everything(folder)


def test_a_full_disk(cmr: Cmr, saved_model: Path, folder: Path, disk: Any) -> None:
    out = disk.path / "gallery"
    cut = disk.full_at("cmr_hub.gallery.local:write_rows", nth=3)
    line = index(cmr, saved_model, folder, out, cut=cut).error
    assert line.startswith(f"error: cannot write {out}/")
    assert "free some space and run the command again" in line
    kept = paths(out)
    assert len(kept) >= 2
    assert not list(out.glob("*.tmp"))
    disk.make_room()
    again = index(cmr, saved_model, folder, out)
    assert f"{len(kept)} unchanged" in again.out
    assert paths(out) == everything(folder)


def test_where_nothing_can_be_written(
    cmr: Cmr, saved_model: Path, folder: Path, read_only: Path
) -> None:
    line = index(cmr, saved_model, folder, read_only / "gallery").error
    assert line.startswith(f"error: cannot write {read_only / 'gallery'}")
    assert "choose a writable location" in line


def test_two_at_once(cmr: Cmr, saved_model: Path, folder: Path, tmp_path: Path) -> None:
    out, waiting = tmp_path / "gallery", tmp_path / "waiting"
    cut = Cut("cmr_hub.gallery.local:LocalStore.put", "wait", path=str(waiting))
    first = cmr.start(
        *("index", folder, "--out", out, "--model", saved_model), cut=cut, sets=PIECES
    )
    while not waiting.exists():
        time.sleep(0.01)
    line = index(cmr, saved_model, folder, out).error
    assert f"process {first.pid} on " in line
    waiting.unlink()
    assert first.wait().code == 0
    assert paths(out) == everything(folder)


def test_a_clock_that_went_back(cmr: Cmr, saved_model: Path, folder: Path, tmp_path: Path) -> None:
    """A changed picture has a modification time before the time of indexing."""
    out = tmp_path / "gallery"
    assert index(cmr, saved_model, folder, out).code == 0
    before = {row["path"]: row["sha256"] for row in Gallery.open(out).items.to_pylist()}
    changed = folder / "3.png"
    size = changed.stat().st_size
    picture(changed, 99)
    changed.write_bytes(changed.read_bytes().ljust(size, b"\0"))
    os.utime(changed, (1e9, 1e9))
    ended = index(cmr, saved_model, folder, out)
    assert f"{COUNT - 1} unchanged" in ended.out
    after = {row["path"]: row["sha256"] for row in Gallery.open(out).items.to_pylist()}
    assert {path for path in before if before[path] != after[path]} == {str(changed)}
