"""Time of `cmr index` on an unchanged folder, the effect of kills, and the speed of writing.

    python -m benchmarks indexing-again indexing-faults indexing-writing

Pictures are JPEG files of smooth noise, 500 × 375 pixels, with the file size of photographs.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from gallery import check, draw, items
from PIL import Image
from rows import rounded

from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn

CMR = [sys.executable, "-c", "from cmr_hub.cli import main; main()"]
KILLS, KILLED_PICTURES = 50, 1_000
PART_DONE = 10
"""Minimum number of kills that must find a partly written gallery, to be meaningful."""
OFTEN = [
    *CMR[:-1],
    f"from cmr_hub.gallery.indexing import index; index._COMMIT_SECONDS = 0.1; {CMR[-1]}",
]
"""`cmr index` that writes ten times a second instead of every five seconds, to be interrupted."""
WRITTEN = 200_000


@contextmanager
def pictures(count: int) -> Iterator[Path]:
    """Create a folder with the pictures in its subfolder `p`."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as home:
        for number in range(count):
            small = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC)
            path = Path(home, "p", f"{number // 1000}", f"{number:05}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, quality=88)
        yield Path(home)


def again() -> dict[str, object]:
    """Measure a second run of the command on an unchanged folder of 7,000 pictures."""
    with pictures(7_000) as home:
        command = [*CMR, "index", str(home / "p"), "--out", str(home / "g")]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        first = time.perf_counter() - started
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        second = time.perf_counter() - started
    assert "7,000 unchanged" in done.stdout, done.stdout
    check("second run over 7,000 pictures, s", second, "≤", 5)
    return {"pictures": 7_000, "first_seconds": rounded(first), "second_seconds": rounded(second)}


def faults() -> dict[str, object]:
    """Kill the command at random moments, and check that nothing is lost or duplicated."""
    generator = np.random.default_rng(0)
    with pictures(KILLED_PICTURES) as home:
        command = [*OFTEN, "index", str(home / "p"), "--out", str(home / "g")]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        whole = time.perf_counter() - started
        shutil.rmtree(home / "g")
        kills = partly = completed = 0
        known: set[str] = set()
        while kills < KILLS:
            with subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                try:
                    process.wait(generator.uniform(0, whole))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            if not (home / "g" / "manifest.json").exists():
                continue
            known = verified(home / "g", known)
            partly += 0 < len(known) < KILLED_PICTURES
            if len(known) == KILLED_PICTURES:  # begin again
                shutil.rmtree(home / "g")
                known, completed = set(), completed + 1
        subprocess.run(command, check=True, capture_output=True)
        found = verified(home / "g", known)
        wrong = found ^ {str(path) for path in (home / "p").rglob("*.jpg")}
    check(f"lost or double rows after {kills} kills", len(wrong), "≤", 0)
    check("kills that found a part done", partly, "≥", PART_DONE)
    return {
        "kills": kills,
        "kills_with_a_part_done": partly,
        "galleries_completed": completed + 1,
        "lost_or_double_rows": len(wrong),
    }


def verified(directory: Path, known: set[str]) -> set[str]:
    """Return the paths in a gallery, after checking for duplicates and lost paths."""
    gallery = Gallery.open(directory)
    gallery.store.verify()
    paths = gallery.items["path"].to_pylist()
    assert len(set(paths)) == len(paths), "double rows"
    assert known <= set(paths), "rows were lost"
    return set(paths)


def writing() -> dict[str, object]:
    """Measure the rows per second that one process writes, which limits a cluster."""
    table, rows = items(WRITTEN), draw(WRITTEN, 7)
    with tempfile.TemporaryDirectory() as home:
        store = LocalStore.create(Path(home) / "g", "random")
        started = time.perf_counter()
        for start in range(0, WRITTEN, 4096):
            part = table.slice(start, 4096)
            store.put(Segment(part, {"image": VectorColumn.full(rows[start : start + len(part)])}))
        seconds = time.perf_counter() - started
    return {"rows": WRITTEN, "rows_per_second": rounded(WRITTEN / seconds)}
