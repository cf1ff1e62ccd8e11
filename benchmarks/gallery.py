"""Speed and recall of searches in a gallery.

    python -m benchmarks gallery-codes gallery-scale gallery-filters  # an hour for the graphs

Vectors are random unit vectors of 256 dimensions with variances that fall as 1/k^1.5. They are
harder to search than those of the bundled model: among 3,000 vectors, the local intrinsic dimension
(Levina and Bickel 2004, 50 neighbours) is 17, compared with 11 for its vectors of Flickr8k. At a
million, there are also much harder vectors, which fall as 1/k and have dimension 31. Galleries are
cached. For peers see `search.py`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from rows import rounded

from cmr_hub.cache_home import default_cache_home
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.graph import EF_CONSTRUCTION, EF_SEARCH, LINKS
from cmr_hub.gallery.huge_pages import THREAD

DIM, QUERIES, WARM = 256, 300, 10
SIZES = (10_000, 30_000, 100_000, 200_000, 300_000, 1_000_000)
MILLION = SIZES[-1]
FALL, HARD = 1.5, 1.0
KEPT = default_cache_home() / "benchmarks"


def draw(count: int, seed: int, fall: float = FALL) -> np.ndarray:
    """Return (count, DIM) unit vectors whose variances fall as k to the power of −`fall`."""
    generator = np.random.default_rng(seed)
    scale = (np.arange(1, DIM + 1) ** (-fall / 2)).astype(np.float32)
    rows = np.empty((count, DIM), np.float32)
    for start in range(0, count, 100_000):
        size = (min(100_000, count - start), DIM)
        block = generator.standard_normal(size, dtype=np.float32) * scale
        rows[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def items(count: int) -> pa.Table:
    """Return items with columns in which a tenth and a hundredth of all rows have the value 0."""
    numbers = np.arange(count)
    return pa.table(
        {
            "id": [f"{n:032x}" for n in numbers],
            "path": [f"/pictures/{n // 1000:04}/{n:07}.jpg" for n in numbers],
            "sentences": pa.nulls(count, pa.list_(pa.string())),
            "label": [f"class {n % 20}" for n in numbers],
            "tenth": numbers % 10,
            "hundredth": numbers % 100,
        }
    )


def gallery_of(count: int, fall: float = FALL, name: str = "") -> Path:
    """Return the directory of a gallery of random vectors, creating it once."""
    directory = KEPT / f"gallery-{name}{count}-{fall}"
    if not (directory / "manifest.json").exists():
        made = Gallery.from_vectors(
            items(count), image_embeddings=draw(count, 0, fall), model_id="random"
        )
        started = time.perf_counter()
        made.save(directory)
        print(f"made a gallery of {count:,} in {time.perf_counter() - started:.0f} s", flush=True)
    return directory


def milliseconds(
    work: Callable[[np.ndarray], object], queries: Iterable[np.ndarray]
) -> list[float]:
    """Return the time of each query."""
    times = []
    for query in queries:
        started = time.perf_counter()
        work(query)
        times.append(1000 * (time.perf_counter() - started))
    return times


def recall(gallery: Gallery, queries: np.ndarray, rows: np.ndarray, where: str | None) -> float:
    """Return the share of the ten nearest of these rows that is found."""
    vectors = gallery.vectors("image")[rows]
    _, best = faiss.knn(queries, vectors, 10, metric=faiss.METRIC_INNER_PRODUCT)
    found = 0
    for query, own in zip(queries, rows[best], strict=True):
        hits = gallery.search(query, where=where)
        found += len({int(hit.id, 16) for hit in hits} & set(own.tolist()))
    return found / best.size


def warm(gallery: Gallery) -> None:
    """Search until all caches of the gallery are filled."""
    milliseconds(gallery.search, draw(WARM, 5))
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join()


OPEN = """
import sys, time
import faiss, numpy as np, pyarrow.parquet, torch
from cmr_hub.gallery.gallery import Gallery
query = np.random.default_rng(5).normal(size=256)
started = time.perf_counter()
assert len(Gallery.open(sys.argv[1]).search(query)) == 10
print(time.perf_counter() - started)
"""


def opening(directory: Path) -> float:
    """Return the seconds from opening to the first result in a new process, the best of three."""
    command = [sys.executable, "-c", OPEN, str(directory)]
    runs = [subprocess.run(command, check=True, capture_output=True) for _ in range(3)]
    return min(float(run.stdout) for run in runs)


def scale() -> dict[str, object]:
    """Measure cost and recall from ten thousand to a million vectors."""
    curve = [measured(count, FALL) for count in SIZES]
    last, hard = curve[-1], measured(MILLION, HARD)
    check(f"p50 at {MILLION:,}, ms", last["p50_milliseconds"], "≤", 2)
    check(f"Recall@10 at {MILLION:,}", last["recall_at_10"], "≥", 0.98)
    check(f"open to first answer at {MILLION:,}, s", last["seconds_to_first_answer"], "≤", 2)
    return {
        "dim": DIM,
        "links": LINKS,
        "ef_construction": EF_CONSTRUCTION,
        "ef": EF_SEARCH,
        "curve": curve,
        "much_harder_vectors": hard,
    }


def measured(count: int, fall: float) -> dict[str, Any]:
    """Measure a point of the curve."""
    queries = draw(QUERIES, 1, fall)
    directory = gallery_of(count, fall)
    gallery = Gallery.open(directory)
    found = recall(gallery, queries, np.arange(count), None)
    warm(gallery)
    times = milliseconds(gallery.search, queries)
    sizes = [path.stat().st_size for path in directory.iterdir()]
    point = {
        "vectors": count,
        "engine": gallery.store.facts()["search"].removeprefix("image: "),
        "p50_milliseconds": rounded(statistics.median(times)),
        "p95_milliseconds": rounded(float(np.percentile(times, 95))),
        "recall_at_10": rounded(found),
        "seconds_to_first_answer": rounded(opening(directory)),
        "mebibytes": round(sum(sizes) / 2**20),
    }
    print(point, flush=True)
    return point


def filters() -> dict[str, object]:
    """Measure filtered search at a million vectors, in turns with unfiltered search."""
    gallery = Gallery.open(gallery_of(MILLION))
    queries = draw(QUERIES, 2)
    figures: dict[str, object] = {"vectors": MILLION}
    warm(gallery)
    for name, share in (("tenth", 10), ("hundredth", 1)):
        where = f"{name} = 0"
        (first,) = milliseconds(partial(gallery.search, where=where), queries[:1])
        plain, filtered = [], []
        for query in queries:
            plain += milliseconds(gallery.search, [query])
            filtered += milliseconds(partial(gallery.search, where=where), [query])
        rows = np.flatnonzero(np.arange(MILLION) % (100 // share) == 0)
        found = recall(gallery, queries, rows, where)
        ratio = statistics.median(filtered) / statistics.median(plain)
        check(f"filtered / unfiltered p50, {share} % pass", ratio, "≤", 3)
        check(f"Recall@10, {share} % pass", found, "≥", 0.98)
        figures[f"{share}_percent_pass"] = {
            "filtered_over_unfiltered": rounded(ratio),
            "p50_milliseconds": rounded(statistics.median(filtered)),
            "recall_at_10": rounded(found),
            "first_query_milliseconds": rounded(first),
        }
    return figures


def codes() -> dict[str, object]:
    """Compare graphs of 16-bit and 8-bit vectors with equal links; 26 candidates are rescored."""
    rows, queries = draw(50_000, 0), draw(QUERIES, 6)
    _, best = faiss.knn(queries, rows, 10, metric=faiss.METRIC_INNER_PRODUCT)
    settings = faiss.SearchParametersHNSW(efSearch=EF_SEARCH)
    figures: dict[str, object] = {"vectors": len(rows), "ef": EF_SEARCH}
    for name, kind in (("16_bits", "QT_fp16"), ("8_bits", "QT_8bit_uniform")):
        quantizer = getattr(faiss.ScalarQuantizer, kind)
        index = faiss.IndexHNSWSQ(DIM, quantizer, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.train(rows)
        started = time.perf_counter()
        index.add(rows)
        seconds = time.perf_counter() - started
        search = partial(index.search, k=26, params=settings)
        found, times = 0, milliseconds(search, queries[:, None])
        for query, own in zip(queries, best, strict=True):
            _, (places,) = search(query[None])
            again = places[np.argsort(-(rows[places] @ query))[:10]]
            found += len(set(again.tolist()) & set(own.tolist()))
        figures[name] = {
            "recall_at_10": rounded(found / best.size),
            "p50_milliseconds": rounded(statistics.median(times)),
            "seconds_to_build": rounded(seconds),
        }
    print(figures, flush=True)
    return figures


def check(what: str, value: float, sign: str, goal: float) -> None:
    """Print whether a goal is met."""
    met = value <= goal if sign == "≤" else value >= goal
    print(f"{'met   ' if met else 'MISSED'} {what}: {value:.4g} (goal: {sign} {goal})", flush=True)
