"""Draw the pictures of a split into a folder, in parallel processes.

`python -m cmr_hub_sketches.painter FOLDER SPLIT COUNT WORKERS WORKER` runs one of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from tqdm import tqdm

from cmr_hub.atomic import atomic_file, storing
from cmr_hub.datasets.protocols import SPLITS
from cmr_hub_sketches.compose import make_scene
from cmr_hub_sketches.draw import draw
from cmr_hub_sketches.objects import CLASSES
from cmr_hub_sketches.scene import Scene

_FEW = 20  # number of pictures that are drawn while another process starts


def split_scene(split: str, number: int) -> Scene:
    """Return scene `number` of a split; the classes alternate.

    The seeds of the splits are interleaved, so that no two splits of any size share a seed.
    """
    seed = number * len(SPLITS) + SPLITS.index(split)
    return make_scene(seed, CLASSES[number % len(CLASSES)])


def file_name(number: int) -> str:
    """Return the file name of a picture in the folder of its split."""
    return f"{number:06d}.jpg"


def paint(folder: Path, split: str, numbers: Iterable[int]) -> Iterator[int]:
    """Draw scenes into `folder`, writing each file atomically; yield the number of each scene."""
    for number in numbers:
        with atomic_file(folder / file_name(number)) as temporary:
            picture = draw(split_scene(split, number))
            picture.save(temporary, format="JPEG", quality=90, subsampling=0)
        yield number


def missing(folder: Path, numbers: Iterable[int]) -> list[int]:
    """Return the scenes without a picture in `folder`."""
    known = {path.name for path in folder.iterdir()}
    return [number for number in numbers if file_name(number) not in known]


def paint_missing(folder: Path, split: str, count: int) -> None:
    """Draw the first `count` pictures of a split, except existing ones.

    Raises:
        StorageError: the disk is full or read-only.
        OSError: a picture cannot be drawn.
    """
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    waiting = missing(folder, range(count))
    workers = min(os.cpu_count() or 1, len(waiting) // _FEW)
    with tqdm(
        total=len(waiting), desc=f"drawing {split}", unit="", disable=None if waiting else True
    ) as bar:
        if workers < 2:
            for _ in paint(folder, split, waiting):
                bar.update()
        else:
            _paint_side_by_side(folder, split, count, workers, bar)


def _sweep(folder: Path) -> None:
    """Remove temporary files of killed runs; no picture takes a minute to write."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):  # already removed by another run, or the folder is read-only
            if time.time() - path.stat().st_mtime > 60:
                path.unlink()


def _paint_side_by_side(
    folder: Path, split: str, count: int, workers: int, bar: tqdm[None]
) -> None:
    """Draw with one process per core; threads do not help, as the renderer holds Python's lock.

    The processes are commands, because `multiprocessing` would run the caller's script again.
    """
    command = [sys.executable, "-m", __name__, str(folder), split, str(count), str(workers)]
    processes: list[subprocess.Popen[str]] = []
    lock = Lock()

    def follow(process: subprocess.Popen[str]) -> None:
        last = ""
        for line in process.stdout or ():
            last = line.strip() or last
            if last.isdecimal():
                with lock:
                    bar.update()
        if process.wait():
            raise OSError(f"pictures cannot be drawn into {folder}: {last}")

    try:
        for worker in range(workers):
            processes.append(
                subprocess.Popen(  # noqa: S603 - our own module
                    [*command, str(worker)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        with ThreadPoolExecutor(workers) as pool:
            try:
                for _ in pool.map(follow, processes):
                    pass
            except BaseException:
                # Also on Ctrl-C: the pool waits for its threads, which wait for the processes.
                for process in processes:
                    process.kill()
                raise
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _main(folder: Path, split: str, count: int, workers: int, worker: int) -> None:
    for number in paint(folder, split, missing(folder, range(worker, count, workers))):
        print(number, flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
