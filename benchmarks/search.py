"""How long is one search in a gallery, beside those that search the same vectors?

    python benchmarks/search.py           # 10,000 and 100,000 vectors
    python benchmarks/search.py 1000000   # other numbers; the first time 20 minutes for the graph

The ten nearest of random vectors; `gallery.py` says how they are drawn, and measures how many of
the nearest are found. Turn by turn, 30 queries a turn; the first ten, which find the caches full of
a rival's vectors, do not count:

- FAISS: `IndexFlatIP`, which compares with every vector, with as many threads as it takes;
- FAISS, the same graph: above 200,000 vectors, where ours walks a graph, that graph without ours
  around it;
- sentence-transformers: `semantic_search`, with cosine similarity, as it comes;
- Milvus: a server on this machine with an HNSW index of the settings that `cmr index --engine
  milvus` gives it, asked through pymilvus. Up to 100,000 vectors: above that it builds for long.
  Where the server's wheel does not run it is left out.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from gallery import DIM, TURN, TURNS, WARM, draw, gallery_of, warm
from safetensors.numpy import load_file
from turns import beside, record, seconds

from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.graph import EF_CONSTRUCTION, EF_SEARCH, LINKS, Graph
from cmr_hub.gallery.local import EXACT_LIMIT

K = 10
SIZES = (10_000, 100_000)
MILVUS_LIMIT, MILVUS_BATCH = 100_000, 5_000
SUPPORT = Path(__file__).parents[1] / "tests" / "support"

Search = Callable[[np.ndarray], object]


def flat(rows: np.ndarray) -> Search:
    """Bare FAISS."""
    index = faiss.IndexFlatIP(DIM)
    index.add(rows)
    threads = torch.get_num_threads()

    def search(query: np.ndarray) -> object:
        faiss.omp_set_num_threads(threads)  # ours takes one
        return index.search(query[None], K)

    return search


def graph(directory: Path, count: int) -> Search:
    """Bare FAISS on the graph of a gallery."""
    (file,) = directory.glob("graph-*")
    index = Graph.of_arrays(load_file(file), DIM, count).index
    settings = faiss.SearchParametersHNSW(efSearch=EF_SEARCH)
    return lambda query: index.search(query[None], K, params=settings)


def semantic(rows: np.ndarray) -> Search:
    """sentence-transformers."""
    ensure_torchvision()
    from sentence_transformers.util import semantic_search

    corpus = torch.from_numpy(rows)
    return lambda query: semantic_search(torch.from_numpy(query[None]), corpus, top_k=K)


@contextmanager
def milvus_server() -> Iterator[Any]:
    """A client of a server that runs meanwhile, or None where none can."""
    if find_spec("milvus") is None or find_spec("pymilvus") is None:
        print("Milvus is left out: its wheel is not installed", flush=True)
        yield None
        return
    sys.path.append(str(SUPPORT))
    from milvus_process import MilvusProcess

    from cmr_hub.gallery.milvus_server import MilvusAddress, MilvusServer

    with tempfile.TemporaryDirectory() as folder:
        process = MilvusProcess(Path(folder))
        try:
            yield MilvusServer(MilvusAddress(process.uri))
        finally:
            process.kill()


def milvus(server: Any, rows: np.ndarray) -> Search:
    """Vectors in the server, indexed and loaded."""
    from pymilvus import DataType

    name = f"v{len(rows)}"
    schema = server.client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    indexes = server.client.prepare_index_params()
    settings = {"M": LINKS, "efConstruction": EF_CONSTRUCTION}
    indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=settings)
    server.call("create_collection", name, schema=schema)
    for start in range(0, len(rows), MILVUS_BATCH):
        part = rows[start : start + MILVUS_BATCH]
        data = [{"id": start + at, "vector": row.tolist()} for at, row in enumerate(part)]
        server.call("insert", name, data)
    server.call("flush", name)
    server.call("create_index", name, indexes)
    server.call("load_collection", name)
    asked = {"metric_type": "IP", "params": {"ef": EF_SEARCH}}
    return lambda query: server.call(
        "search", name, data=[query.tolist()], limit=K, search_params=asked
    )


def measured(count: int, server: Any) -> dict[str, object]:
    """Everybody with this number of vectors."""
    directory, rows = gallery_of(count), draw(count, 0)
    gallery = Gallery.open(directory)
    rivals: dict[str, Search] = {
        "ours": lambda query: gallery.search(query, k=K),
        "FAISS IndexFlatIP": flat(rows),
        "sentence-transformers semantic_search": semantic(rows),
    }
    if count > EXACT_LIMIT:
        rivals["FAISS, the same graph"] = graph(directory, count)
    if server is not None and count <= MILVUS_LIMIT:
        rivals["Milvus HNSW"] = milvus(server, rows)
    warm(gallery)
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in np.split(draw(TURNS * TURN, 3), TURNS):
        for name, search in rivals.items():
            taken = [seconds(partial(search, query)) for query in turn]
            times[name] += taken[WARM:]
    found = {
        name: beside(times["ours"], taken, name) for name, taken in times.items() if name != "ours"
    }
    print(f"{count:,}", found, flush=True)
    return {"vectors": count, "exact": count <= EXACT_LIMIT, **found}


def main(*sizes: str) -> None:
    with milvus_server() as server:
        for count in map(int, sizes or SIZES):
            row = measured(count, server)
            record(f"search-{count}", row)


if __name__ == "__main__":
    main(*sys.argv[1:])
