"""How fast is a gallery, how much does it find, and what does a kill cost it?

    python benchmarks/gallery.py            # everything; the first time an hour for the graphs
    python benchmarks/gallery.py exact peer # some of: scale, filters, exact, peer, codes, ...

Vectors are random, 256 numbers each, with variances that fall as 1/k and then of length 1: their
effective dimension (participation ratio) is 23, that of the embedded model's own vectors of
Flickr8k is 10 for sentences and 12 for pictures, which are easier to search. Galleries are kept in
the cache and used again. Every figure that is compared with a peer is measured turn by turn with
it; the load of the machine is noted with each row.
"""

from __future__ import annotations

import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from store import record

from cmr_hub import load
from cmr_hub.cache_home import default_cache_home
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.graph import EF_CONSTRUCTION, EF_SEARCH, LINKS
from cmr_hub.gallery.indexing.index import index_folder

DIM, QUERIES = 256, 300
SIZES = (10_000, 30_000, 100_000, 200_000, 300_000, 1_000_000)
KEPT = default_cache_home() / "benchmarks"
PICTURES, SECOND_RUN, KILLS = 2_000, 7_000, 50
CMR = [sys.executable, "-c", "from cmr_hub.cli import main; main()"]


def draw(count: int, seed: int) -> np.ndarray:
    """(count, DIM) unit vectors."""
    generator = np.random.default_rng(seed)
    scale = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)
    rows = np.empty((count, DIM), np.float32)
    for start in range(0, count, 100_000):
        size = (min(100_000, count - start), DIM)
        block = generator.standard_normal(size, dtype=np.float32) * scale
        rows[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def items(count: int) -> pa.Table:
    """Items with columns of which a tenth and a hundredth of all rows have the value 0."""
    numbers = np.arange(count)
    nothing = pa.nulls(count, pa.list_(pa.string()))
    return pa.table(
        {
            "id": [f"{n:032x}" for n in numbers],
            "path": [f"/pictures/{n // 1000:04}/{n:07}.jpg" for n in numbers],
            "sentences": nothing,
            "label": [f"class {n % 20}" for n in numbers],
            "tenth": numbers % 10,
            "hundredth": numbers % 100,
        }
    )


def gallery_of(count: int) -> Path:
    """The directory of a gallery of random vectors, made the first time."""
    directory = KEPT / f"gallery-{count}"
    if not (directory / "manifest.json").exists():
        made = Gallery.from_vectors(
            items(count), image_embeddings=draw(count, 0), model_id="random"
        )
        started = time.perf_counter()
        made.save(directory)
        print(f"made a gallery of {count:,} in {time.perf_counter() - started:.0f} s", flush=True)
    return directory


def milliseconds(
    work: Callable[[np.ndarray], object], queries: Iterable[np.ndarray]
) -> list[float]:
    """How long it takes with each query."""
    times = []
    for query in queries:
        started = time.perf_counter()
        work(query)
        times.append(1000 * (time.perf_counter() - started))
    return times


def recall(gallery: Gallery, queries: np.ndarray, rows: np.ndarray, where: str | None) -> float:
    """Of the ten nearest among these rows, the share that is found."""
    vectors = gallery.vectors("image")[rows]
    _, best = faiss.knn(queries, vectors, 10, metric=faiss.METRIC_INNER_PRODUCT)
    found = 0
    for query, own in zip(queries, rows[best], strict=True):
        hits = gallery.search(query, where=where)
        found += len({int(hit.id, 16) for hit in hits} & set(own.tolist()))
    return found / best.size


OPEN = """
import sys, time
import faiss, numpy as np, pyarrow.parquet, torch
from cmr_hub.gallery.gallery import Gallery
query = np.random.default_rng(5).normal(size=256)
started = time.perf_counter()
assert len(Gallery.open(sys.argv[1]).search(query)) == 10
print(time.perf_counter() - started)
"""


def scale() -> None:
    """Cost and recall from ten thousand to a million."""
    queries = draw(QUERIES, 1)
    for count in SIZES:
        directory = gallery_of(count)
        gallery = Gallery.open(directory)
        milliseconds(gallery.search, queries[:20])
        p50 = statistics.median(milliseconds(gallery.search, queries))
        found = recall(gallery, queries, np.arange(count), None)
        opening = min(
            float(
                subprocess.run(
                    [sys.executable, "-c", OPEN, str(directory)], check=True, capture_output=True
                ).stdout
            )
            for _ in range(3)
        )
        engine = "graph" if gallery.store.manifest.graphs else "exact"
        size = sum(path.stat().st_size for path in directory.iterdir())
        print(
            f"{count:>9,} {engine}: p50 {p50:.2f} ms, Recall@10 {found:.4f}, "
            f"open to first answer {opening:.2f} s, {size / 2**20:.0f} MiB",
            flush=True,
        )
        facts = {"vectors": count, "dim": DIM, "engine": engine, "mebibytes": round(size / 2**20)}
        goal = count == SIZES[-1]
        record(
            "gallery",
            f"p50 of a query at {count:,}",
            p50,
            "ms",
            "≤ 2 at 1,000,000",
            not goal or p50 <= 2,
            **facts,
        )
        record("gallery", f"Recall@10 at {count:,}", found, "", "≥ .98", found >= 0.98, **facts)
        record(
            "gallery",
            f"open to first answer at {count:,}",
            opening,
            "s",
            "≤ 2 at 1,000,000",
            not goal or opening <= 2,
            **facts,
        )


def filters() -> None:
    """Filtered search at a million, beside the unfiltered."""
    gallery = Gallery.open(gallery_of(SIZES[-1]))
    queries = draw(QUERIES, 2)
    for name, share in (("tenth", 10), ("hundredth", 1)):
        where = f"{name} = 0"
        started = time.perf_counter()
        gallery.search(queries[0], where=where)
        first = 1000 * (time.perf_counter() - started)
        plain, filtered = [], []
        for query in queries:
            plain += milliseconds(gallery.search, [query])
            filtered += milliseconds(partial(gallery.search, where=where), [query])
        ratio = statistics.median(filtered) / statistics.median(plain)
        rows = np.flatnonzero(np.arange(SIZES[-1]) % (100 // share) == 0)
        found = recall(gallery, queries[:100], rows, where)
        facts = {"vectors": SIZES[-1], "first_query_ms": round(first, 1)}
        record(
            "gallery",
            f"filtered p50 / unfiltered, {share} % pass",
            ratio,
            "ratio",
            "≤ 3",
            ratio <= 3,
            **facts,
        )
        record(
            "gallery",
            f"filtered Recall@10, {share} % pass",
            found,
            "",
            "≥ .98",
            found >= 0.98,
            **facts,
        )


def codes() -> None:
    """Graphs of vectors in 16 and in 8 bits, with the same links."""
    rows, queries = draw(50_000, 0), draw(QUERIES, 6)
    _, best = faiss.knn(queries, rows, 10, metric=faiss.METRIC_INNER_PRODUCT)
    faiss.omp_set_num_threads(2)
    for name, kind in (("16-bit", "QT_fp16"), ("8-bit", "QT_8bit")):
        quantizer = getattr(faiss.ScalarQuantizer, kind)
        index = faiss.IndexHNSWSQ(DIM, quantizer, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF_SEARCH
        index.train(rows)
        index.add(rows)
        _, found = index.search(queries, 10)
        pairs = zip(found.tolist(), best.tolist(), strict=True)
        share = sum(len(set(a) & set(b)) for a, b in pairs) / best.size
        measure = f"graph of {name} codes, Recall@10 at 50,000"
        record("gallery", measure, share, "", "for information", True, ef=EF_SEARCH)


def exact() -> None:
    """100,000 vectors, every one compared, beside bare FAISS."""
    count = 100_000
    gallery = Gallery.open(gallery_of(count))
    bare = faiss.IndexFlatIP(DIM)
    bare.add(draw(count, 0))
    faiss.omp_set_num_threads(1)
    ours, theirs = [], []
    for query in draw(QUERIES, 3):
        theirs += milliseconds(lambda one: bare.search(one[None], 10), [query])
        ours += milliseconds(gallery.search, [query])
    ratio = statistics.median(ours) / statistics.median(theirs)
    facts = {"vectors": count, "ours_ms": round(statistics.median(ours), 2)}
    record("gallery", "exact search / bare FAISS", ratio, "ratio", "≤ 1.3", ratio <= 1.3, **facts)


def peer() -> None:
    """100,000 vectors, beside sentence-transformers' `semantic_search`."""
    ensure_torchvision()
    from sentence_transformers.util import dot_score, semantic_search

    count = 100_000
    gallery = Gallery.open(gallery_of(count))
    corpus = torch.from_numpy(draw(count, 0))
    ours, theirs, dots = [], [], []
    for query in draw(60, 4):
        tensor = torch.from_numpy(query[None])
        theirs += milliseconds(lambda one: semantic_search(one, corpus), [tensor])
        dots += milliseconds(
            lambda one: semantic_search(one, corpus, score_function=dot_score), [tensor]
        )
        ours += milliseconds(gallery.search, [query])
    mine = statistics.median(ours)
    facts = {"vectors": count, "ours_ms": round(mine, 2), "threads": torch.get_num_threads()}
    ratio = statistics.median(theirs) / mine
    record("gallery", "semantic_search / ours", ratio, "ratio", "≥ 10", ratio >= 10, **facts)
    ratio = statistics.median(dots) / mine
    record(
        "gallery",
        "semantic_search with dot_score / ours",
        ratio,
        "ratio",
        "for information",
        True,
        **facts,
    )


def pictures(folder: Path, count: int) -> None:
    """Fills a folder with photographs' worth of bytes: smooth noise as JPEG."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        small = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC)
        path = folder / f"{number // 1000}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=88)


def indexing() -> None:
    """Indexing beside a bare forward loop on decoded pictures; a second run over 7,000."""
    model = load()
    encoder = model.image_encoder
    assert encoder is not None
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        pictures(home / "p", SECOND_RUN)
        some = home / "some"
        some.mkdir()
        for path in sorted((home / "p").rglob("*.jpg"))[:PICTURES]:
            shutil.copy(path, some)
        pixels = np.stack(
            [encoder.preprocessing.pixels(read_image(p)) for p in sorted(some.iterdir())]
        )
        for threads in (1, 2):
            torch.set_num_threads(threads)
            bare, ours = [], []
            for _ in range(3):
                started = time.perf_counter()
                encoder.encode_pixels(pixels)
                between = time.perf_counter()
                index_folder(Gallery.create(None, model), some, workers=1)
                bare.append(len(pixels) / (between - started))
                ours.append(len(pixels) / (time.perf_counter() - between))
            ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
            facts = {
                "pictures": PICTURES,
                "encoder": encoder.name,
                "encoder_threads": threads,
                "workers": 1,
            }
            facts["images_per_second"] = round(statistics.median(ours))
            record(
                "gallery",
                f"indexing / bare forward loop, encoder on {threads} of 2 cores",
                ratio,
                "ratio",
                "≥ .95",
                ratio >= 0.95,
                **facts,
            )
        torch.set_num_threads(1)
        command = [*CMR, "index", str(home / "p"), "--out", str(home / "g")]
        subprocess.run(command, check=True, capture_output=True)
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        assert f"{SECOND_RUN:,} unchanged" in done.stdout, done.stdout
        record(
            "gallery",
            "second run over 7,000 unchanged pictures",
            seconds,
            "s",
            "< 5",
            seconds < 5,
            whole_process=True,
        )


def faults() -> None:
    """`cmr index` killed at random moments: nothing is lost or double."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        pictures(home / "p", 1_000)
        command = [*CMR, "index", str(home / "p"), "--out", str(home / "g")]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        whole = time.perf_counter() - started
        shutil.rmtree(home / "g")
        kills, partly = 0, 0
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
            if (home / "g" / "manifest.json").exists():
                gallery = Gallery.open(home / "g")
                gallery.store.verify()
                paths = gallery.items["path"].to_pylist()
                assert len(set(paths)) == len(paths), "double rows"
                assert known <= set(paths), "rows were lost"
                known = set(paths)
                partly += 0 < len(known) < 1_000
                if len(known) == 1_000:  # begin again
                    shutil.rmtree(home / "g")
                    known = set()
        subprocess.run(command, check=True, capture_output=True)
        gallery = Gallery.open(home / "g")
        gallery.store.verify()
        expected = {str(path) for path in (home / "p").rglob("*.jpg")}
        wrong = set(gallery.items["path"].to_pylist()) ^ expected
        record(
            "gallery",
            "lost or double rows after 50 kills",
            len(wrong),
            "rows",
            "0",
            not wrong,
            kills=kills,
            kills_with_a_part_done=partly,
        )


def main() -> None:
    parts = {part.__name__: part for part in (exact, peer, codes, indexing, faults, scale, filters)}
    for name in sys.argv[1:] or parts:
        print(f"-- {name}", flush=True)
        parts[name]()


if __name__ == "__main__":
    main()
