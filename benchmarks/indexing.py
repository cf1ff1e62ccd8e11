"""How fast is `cmr index`, and what does a kill cost it?

    python benchmarks/indexing.py             # everything
    python benchmarks/indexing.py throughput  # some of: throughput, again, faults, writing

Pictures are JPEG files of 500 × 375 smooth noise, as large as photographs of that size.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gallery import check, draw, items, rounded, run
from PIL import Image

from cmr_hub import load
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.encoders.images.vgg16 import VGG16Encoder
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.decode import decode
from cmr_hub.gallery.indexing.entry import Place
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from cmr_hub.encoders.images.preprocessing import Preprocessing

CMR = [sys.executable, "-c", "from cmr_hub.cli import main; main()"]
ENCODERS: tuple[tuple[type[ImageEncoder], int, int], ...] = (
    (CompactEncoder, 1, 8_000),
    (CompactEncoder, 2, 8_000),
    (MobileNetV2Encoder, 1, 1_000),
    (MobileNetV2Encoder, 2, 1_000),
    (VGG16Encoder, 2, 400),
)
"""With the threads of the encoder, and how many pictures."""
ROUNDS = 3
KILLS, KILLED_PICTURES = 50, 1_000
PART_DONE = 10
"""So many of the kills must find a part of the gallery written, else they prove little."""
OFTEN = [
    *CMR[:-1],
    f"from cmr_hub.gallery.indexing import index; index._COMMIT_SECONDS = 0.1; {CMR[-1]}",
]
"""`cmr index` that writes ten times a second instead of every five seconds: more to be torn."""
WRITTEN = 200_000


@contextmanager
def pictures(count: int) -> Iterator[Path]:
    """A folder with the pictures in its folder `p`."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as home:
        for number in range(count):
            small = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC)
            path = Path(home, "p", f"{number // 1000}", f"{number:05}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, quality=88)
        yield Path(home)


def model_with(kind: type[ImageEncoder]) -> CrossModalModel:
    """Random weights: they take as long as any."""
    encoder = kind(kind.build().state_dict(), "file")
    text = load("sketch").text.encoder
    assert text is not None
    return CrossModalModel(
        ImageTower(encoder, Projector(encoder.dim, (512,), 256)),
        TextTower(text, Projector(text.dim, (512,), 256)),
    )


def throughput() -> dict[str, object]:
    """Pictures a second beside a bare forward loop on decoded pictures, turn by turn.

    Where that loop leaves a core free, it runs once more while another process decodes as many
    pictures and hands none over: what a core that is busy takes from the other.
    """
    cores = os.cpu_count() or 1
    figures: dict[str, Any] = {"rounds": ROUNDS, "cores": cores}
    for number, (kind, threads, count) in enumerate(ENCODERS):
        # A process of its own, as `cmr index` is one: those that decode import what its main
        # module does, and here that would be torch.
        program = f"import indexing; indexing.compare({number})"
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=Path(__file__).parent, check=True, stdout=subprocess.PIPE, text=True
        )
        bare, beside, ours, decoding = json.loads(done.stdout.splitlines()[-1])
        encoding = 1 / statistics.median(bare)  # of `threads` cores
        ratio = over(ours, bare)
        check(f"indexing / bare loop, {kind.name}, {threads} threads", ratio, "≥", 0.95)
        key = f"{kind.name}_{threads}_threads"
        figures[key] = {
            "pictures": count,
            "ours_over_bare_loop": rounded(ratio),
            "images_per_second": rounded(statistics.median(ours)),
            "bare_images_per_second": rounded(statistics.median(bare)),
            "decode_milliseconds": rounded(1000 * decoding),
            # Encoding and decoding share the cores.
            "cores_allow": rounded(min(1, cores * encoding / (threads * encoding + decoding))),
        }
        if beside:
            figures[key] |= {
                "bare_beside_decoding_over_bare_loop": rounded(over(beside, bare)),
                "ours_over_bare_beside_decoding": rounded(over(ours, beside)),
            }
    return figures


def over(these: Sequence[float], those: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(these, those, strict=True))


def compare(number: int) -> None:
    """Prints pictures a second with one of `ENCODERS`, of each round: bare, beside decoding, ours.

    And the seconds of one core that decoding a picture takes.
    """
    kind, threads, count = ENCODERS[number]
    torch.set_num_threads(threads)
    model = model_with(kind)
    encoder = model.image.encoder
    assert encoder is not None
    with pictures(count) as home:
        paths = sorted((home / "p").rglob("*.jpg"))
        pixels = np.stack([encoder.preprocessing.pixels(read_image(path)) for path in paths])
        few = [Place(path) for path in paths[:200]]
        started = time.process_time()
        decode(few, encoder.preprocessing)
        seconds = (time.process_time() - started) / len(few)
        bare, beside, ours = [], [], []
        for _ in range(ROUNDS):
            with pictures_a_second(count, bare):
                encoder.encode_pixels(pixels)
            if threads < (os.cpu_count() or 1):
                with (
                    meanwhile_decoding(paths, encoder.preprocessing),
                    pictures_a_second(count, beside),
                ):
                    encoder.encode_pixels(pixels)
            with pictures_a_second(count, ours):
                index_folder(Gallery.create(None, model), home / "p")
    print(json.dumps([bare, beside, ours, seconds]))


@contextmanager
def pictures_a_second(count: int, into: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    into.append(count / (time.perf_counter() - started))


@contextmanager
def meanwhile_decoding(paths: Sequence[Path], preprocessing: Preprocessing) -> Iterator[None]:
    """Another process, which has started before, decodes the pictures once."""
    context = get_context("spawn")
    ready = context.Barrier(2)
    process = context.Process(target=decode_all, args=(ready, paths, preprocessing))
    process.start()
    ready.wait()
    yield
    process.terminate()
    process.join()


def decode_all(ready: Barrier, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
    ready.wait()
    for path in paths:
        decode([Place(path)], preprocessing)


def again() -> dict[str, object]:
    """A second run of the command over an unchanged folder of 7,000 pictures."""
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
    """The command killed at random moments: nothing is lost or double."""
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
    """The paths in a gallery, none of them double and none of those `known` lost."""
    gallery = Gallery.open(directory)
    gallery.store.verify()
    paths = gallery.items["path"].to_pylist()
    assert len(set(paths)) == len(paths), "double rows"
    assert known <= set(paths), "rows were lost"
    return set(paths)


def writing() -> dict[str, object]:
    """Rows a second that one process writes: what feeds it, on a cluster, cannot be faster."""
    table, rows = items(WRITTEN), draw(WRITTEN, 7)
    with tempfile.TemporaryDirectory() as home:
        store = LocalStore.create(Path(home) / "g", "random")
        started = time.perf_counter()
        for start in range(0, WRITTEN, 4096):
            part = table.slice(start, 4096)
            store.put(Segment(part, {"image": VectorColumn.full(rows[start : start + len(part)])}))
        seconds = time.perf_counter() - started
    return {"rows": WRITTEN, "rows_per_second": rounded(WRITTEN / seconds)}


if __name__ == "__main__":
    run("indexing", throughput, again, faults, writing)
