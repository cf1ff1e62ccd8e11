"""Time of searches, one query at a time and a thousand at once, and of building the graph.

The vectors are those of `gallery.py`. Single queries use one thread; batches and building use all.
Rivals are compared at the same Recall@10: exact search finds all neighbours, and each graph uses
the smallest `ef` with at least our recall.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import hnswlib
import numpy as np
import torch
from gallery import DIM, KEPT, draw, gallery_of, warm
from rows import Rival, Row, best, measure, rounded
from safetensors.numpy import load_file
from usearch.index import Index

from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.gallery import local
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.graph import EF_CONSTRUCTION, EF_SEARCH, LINKS, Graph
from cmr_hub.gallery.nearest import SPARE

K, JUDGED, BATCH = 10, 300, 1_000
WARM = 10
"""Warm-up queries before each turn, because the CPU caches contain a rival's vectors."""
AGAIN = f"8 bits, {K + SPARE} candidates again in 32"
EFS = (20, 30, 40, 60, 80, 100, 120, 150, 200, 250, 300, 400)
CONNECTED = (16, 32)
CLOSE = 0.0005
"""Recall by which a rival may be lower."""
SELDOM = 200_000
"""Size from which a rival's graph only has `CONNECTED[0]` links, as building takes minutes."""

Search = Callable[[np.ndarray], np.ndarray]
"""A function of (Q, d) queries that returns (Q, k) numbers of vectors."""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Batch size of FAISS and torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    faiss.omp_set_num_threads(count)
    yield
    torch.set_num_threads(before)
    faiss.omp_set_num_threads(before)


def of_gallery(gallery: Gallery) -> Search:
    """Search with our API, as a user does."""
    return lambda queries: np.array(
        [[int(hit.id, 16) for hit in hits] for hits in gallery.search_many(queries, K)]
    )


def found(search: Search, queries: np.ndarray, truth: np.ndarray) -> float:
    """Return Recall@10, with one query at a time."""
    hits = [set(search(one[None])[0].tolist()) for one in queries]
    return sum(len(a & set(b)) for a, b in zip(hits, truth.tolist(), strict=True)) / truth.size


def one_by_one(search: Search, queries: np.ndarray) -> Callable[[], None]:
    def run() -> None:
        for one in queries:
            search(one[None])

    return run


def asked(
    search: Search, settings: str, queries: np.ndarray, package: str = "", **more: Any
) -> Rival:
    """Return a rival that gets the queries one at a time."""
    prepare = one_by_one(search, queries[:WARM])
    return Rival(one_by_one(search, queries), settings, package, prepare=prepare, **more)


def ours(gallery: Gallery, queries: np.ndarray, recall: float) -> Rival:
    """Return `Gallery.search` with one thread, as a rival."""

    def run(some: np.ndarray) -> None:
        for one in some:
            gallery.search(one, k=K)

    kind = gallery.store.facts()["search"].removeprefix("image: ")
    return Rival(
        partial(run, queries),
        f"Gallery.search, {kind}",
        against=None,
        prepare=partial(run, queries[:WARM]),
        facts={"recall_at_10": rounded(recall)},
    )


def flat(rows: np.ndarray, bits: int) -> Search:
    """Search exactly with FAISS."""
    half = faiss.ScalarQuantizer.QT_fp16
    index = (
        faiss.IndexFlatIP(DIM)
        if bits == 32
        else faiss.IndexScalarQuantizer(DIM, half, faiss.METRIC_INNER_PRODUCT)
    )
    index.train(rows)
    index.add(rows)
    return lambda queries: index.search(queries, K)[1]


def in_torch(rows: np.ndarray) -> Search:
    """Search with a matrix product and its largest values."""
    vectors = torch.from_numpy(rows)

    def search(queries: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return (torch.from_numpy(queries) @ vectors.T).topk(K).indices.numpy()

    return search


def in_numpy(rows: np.ndarray) -> Search:
    """Search with a matrix product and its largest values, unsorted."""
    return lambda queries: np.argpartition(queries @ rows.T, -K)[:, -K:]


def semantic(rows: np.ndarray) -> Search:
    """Search with sentence-transformers as documented: unit vectors and their dot products."""
    ensure_torchvision()
    from sentence_transformers.util import dot_score, semantic_search

    corpus = torch.from_numpy(rows)

    def search(queries: np.ndarray) -> np.ndarray:
        hits = semantic_search(torch.from_numpy(queries), corpus, top_k=K, score_function=dot_score)
        return np.array([[hit["corpus_id"] for hit in own] for own in hits])

    return search


def exact(count: int) -> Row:
    """Measure exact search with one thread."""
    rows, queries = draw(count, 0), draw(4_000_000 // count + 20, 3)
    gallery = Gallery.open(gallery_of(count))
    judged = draw(JUDGED, 1)
    with threads(1):
        _, truth = faiss.knn(judged, rows, K, metric=faiss.METRIC_INNER_PRODUCT)
        warm(gallery)
        rivals = {"ours": ours(gallery, queries, found(of_gallery(gallery), judged, truth))}
        peers: dict[str, tuple[Search, str, str]] = {
            "FAISS flat, 32 bits": (flat(rows, 32), "IndexFlatIP", "faiss-cpu"),
            "FAISS flat, 16 bits": (flat(rows, 16), "IndexScalarQuantizer, QT_fp16", "faiss-cpu"),
            "PyTorch": (in_torch(rows), "product and topk, inference mode", "torch"),
            "NumPy": (in_numpy(rows), "product and argpartition", "numpy"),
            "sentence-transformers": (
                semantic(rows),
                "semantic_search, vectors of length 1, dot_score",
                "sentence-transformers",
            ),
        }
        for name, (search, settings, package) in peers.items():
            recall = rounded(found(search, judged[:50], truth[:50]))
            rivals[name] = asked(search, settings, queries, package, facts={"recall_at_10": recall})
        task = f"one search in {count:,} vectors, exact, one thread"
        return measure(task, rivals, len(queries), threads=1, vectors=count)


def again(search: Search, rows: np.ndarray) -> Search:
    """Rescore the best 8-bit candidates with 32 bits, as ours does."""

    def nearest(queries: np.ndarray) -> np.ndarray:
        found = []
        for query, places in zip(queries, search(queries).astype(np.int64), strict=True):
            found.append(places[np.argsort(-(rows[places] @ query))[:K]])
        return np.array(found)

    return nearest


def in_faiss(rows: np.ndarray, links: int) -> Any:
    kind = faiss.ScalarQuantizer.QT_8bit_uniform
    index = faiss.IndexHNSWSQ(DIM, kind, links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.train(rows[:100_000])
    index.add(rows)
    return index


def in_hnswlib(rows: np.ndarray, links: int) -> Any:
    index = hnswlib.Index("ip", DIM)
    index.init_index(len(rows), M=links, ef_construction=EF_CONSTRUCTION)
    index.add_items(rows, num_threads=torch.get_num_threads())
    return index


def in_usearch(rows: np.ndarray, links: int) -> Any:
    index = Index(
        ndim=DIM, metric="cos", dtype="i8", connectivity=links, expansion_add=EF_CONSTRUCTION
    )
    index.add(np.arange(len(rows)), rows, threads=torch.get_num_threads())
    return index


def ask_faiss(index: Any, ef: int, rows: np.ndarray) -> Search:
    settings = faiss.SearchParametersHNSW(efSearch=ef)
    return again(lambda queries: index.search(queries, K + SPARE, params=settings)[1], rows)


def ask_hnswlib(index: Any, ef: int, _: np.ndarray) -> Search:
    index.set_ef(ef)
    return lambda queries: index.knn_query(queries, K, num_threads=1)[0]


def ask_usearch(index: Any, ef: int, rows: np.ndarray) -> Search:
    index.expansion_search = ef
    return again(
        lambda queries: np.atleast_2d(index.search(queries, K + SPARE, threads=1).keys), rows
    )


def read_hnswlib(file: Path) -> Any:
    index = hnswlib.Index("ip", DIM)
    index.load_index(str(file))
    return index


GRAPHS: dict[str, tuple[Any, Any, Any, Any, str, str]] = {
    "hnswlib": (
        in_hnswlib,
        ask_hnswlib,
        lambda index, file: index.save_index(str(file)),
        read_hnswlib,
        "hnswlib",
        "32 bits",
    ),
    "FAISS HNSW": (
        in_faiss,
        ask_faiss,
        lambda index, file: faiss.write_index(index, str(file)),
        lambda file: faiss.read_index(str(file)),
        "faiss-cpu",
        "IndexHNSWSQ, " + AGAIN,
    ),
    "usearch": (
        in_usearch,
        ask_usearch,
        lambda index, file: index.save(str(file)),
        lambda file: Index.restore(str(file)),
        "usearch",
        AGAIN,
    ),
}
"""How each library is built, searched, written and read; its package and its precision."""


def kept_graph(name: str, rows: np.ndarray, links: int) -> Any:
    """Return a rival's graph, building it once."""
    build, _, write, read, *_ = GRAPHS[name]
    file = KEPT / f"{name.replace(' ', '-')}-{len(rows)}-{links}"
    if file.exists():
        return read(file)
    started = time.perf_counter()
    index = build(rows, links)
    print(f"built {name} of {len(rows):,} in {time.perf_counter() - started:.0f} s", flush=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    write(index, part)
    part.rename(file)
    return index


def graph(count: int) -> Row:
    """Measure graph search with one thread, at the same recall."""
    rows, queries, judged = draw(count, 0), draw(300, 3), draw(JUDGED, 1)
    many = count > SELDOM
    _, truth = faiss.knn(judged, rows, K, metric=faiss.METRIC_INNER_PRODUCT)
    if many:
        gallery = Gallery.open(gallery_of(count))
    else:  # small galleries are searched without a graph by default
        local.EXACT_LIMIT = 0  # type: ignore[misc]
        gallery = Gallery.open(gallery_of(count, name="graph"))
    assert gallery.store.facts()["search"] == "image: graph"
    with threads(1):
        warm(gallery)
        recall = found(of_gallery(gallery), judged, truth)
        rivals = {"ours": ours(gallery, queries, recall)}
        (file,) = gallery_of(count, name="" if many else "graph").glob("graph-*")
        same = ask_faiss(Graph.of_arrays(load_file(file), DIM, count).index, EF_SEARCH, rows)
        rivals["FAISS, our graph"] = asked(
            same,
            f"IndexHNSWSQ, {AGAIN}, M {LINKS}, ef {EF_SEARCH}",
            queries,
            "faiss-cpu",
            facts={"recall_at_10": rounded(found(same, judged, truth))},
        )
    for name, (_, ask, _, _, package, precision) in GRAPHS.items():
        indexes = {links: kept_graph(name, rows, links) for links in CONNECTED[: 1 if many else 2]}
        with threads(1):
            tried: dict[str, Any] = {}
            enough: dict[tuple[int, int], float] = {}
            for links, index in indexes.items():
                for ef in EFS:
                    own = found(ask(index, ef, rows), judged, truth)
                    _, took = best({"": one_by_one(ask(index, ef, rows), queries[:100])}, 100)
                    tried[f"M {links}, ef {ef}"] = {"ms": took[""], "recall_at_10": rounded(own)}
                    if own >= recall - CLOSE:
                        enough[links, ef] = took[""]
                        break
        if not enough:
            print(f"{name} finds less than ours with every setting: left out")
            continue
        links, ef = min(enough, key=enough.__getitem__)
        rivals[name] = asked(
            ask(indexes[links], ef, rows),
            f"{precision}, M {links}, ef {ef}, construction {EF_CONSTRUCTION}",
            queries,
            package,
            tried=tried,
            facts={"recall_at_10": tried[f"M {links}, ef {ef}"]["recall_at_10"]},
        )
    with threads(1):
        task = f"one search in {count:,} vectors, by a graph, one thread"
        return measure(task, rivals, len(queries), threads=1, vectors=count)


def building(count: int) -> Row:
    """Measure building graphs with the links that `graph` found best, with all threads."""
    rows = draw(count, 0)

    def own() -> None:
        graph = Graph.for_vectors([rows])
        assert sum(graph.add([rows])) == count

    rivals = {"ours": Rival(own, f"8 bits, M {LINKS}", against=None)}
    judged = draw(JUDGED, 1)
    _, truth = faiss.knn(judged, rows, K, metric=faiss.METRIC_INNER_PRODUCT)
    for name, (build, ask, _, _, package, precision) in GRAPHS.items():
        with threads(1):
            recall = found(ask(build(rows, CONNECTED[0]), EF_SEARCH, rows), judged, truth)
        rivals[name] = Rival(
            partial(build, rows, CONNECTED[0]),
            f"{precision}, M {CONNECTED[0]}, construction {EF_CONSTRUCTION}",
            package,
            facts={"recall_at_10_with_ef_200": rounded(recall)},
        )
    return measure(f"building a graph of {count:,} vectors", rivals, warm=False, vectors=count)


def batch(count: int) -> Row:
    """Measure exact search of a thousand queries at once, with all threads."""
    rows, queries = draw(count, 0), draw(BATCH, 3)
    gallery = Gallery.open(gallery_of(count))
    warm(gallery)
    rivals = {
        "ours": Rival(
            lambda: gallery.search_many(queries, K), "Gallery.search_many, hits", against=None
        ),
        "FAISS flat, 32 bits": Rival(
            partial(flat(rows, 32), queries), "IndexFlatIP, numbers only", "faiss-cpu"
        ),
        "PyTorch": Rival(partial(in_torch(rows), queries), "product and topk", "torch"),
        "sentence-transformers": Rival(
            partial(semantic(rows), queries),
            "semantic_search, vectors of length 1, dot_score",
            "sentence-transformers",
        ),
    }
    task = f"{BATCH:,} searches at once in {count:,} vectors, exact, all threads"
    return measure(task, rivals, BATCH, vectors=count)
