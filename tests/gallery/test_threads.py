"""FAISS takes the threads it is given, and torch keeps its own: the two may share one OpenMP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
import pytest
import torch

from cmr_hub.gallery import graph as graphs
from cmr_hub.gallery import nearest
from cmr_hub.gallery.graph import Graph, faiss_threads
from cmr_hub.gallery.nearest import NearestVectors
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.training.threads import torch_threads

COUNT, DIM = 400, 8


@pytest.fixture
def two_threads() -> Iterator[None]:
    with torch_threads(2), faiss_threads(2):
        yield
        left = torch.get_num_threads(), faiss.omp_get_max_threads()
    assert left == (2, 2)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads FAISS was given, each time."""
    counts: list[int] = []

    @contextmanager
    def noted(count: int) -> Iterator[None]:
        with faiss_threads(count):
            counts.append(faiss.omp_get_max_threads())
            yield

    monkeypatch.setattr(nearest, "ROUGH_FROM", 0)  # few vectors are compared without FAISS
    monkeypatch.setattr(graphs, "faiss_threads", noted)
    return counts


@pytest.fixture
def vectors() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(COUNT, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("with_graph", [False, True])
@pytest.mark.parametrize(("queries", "threads"), [(1, 1), (8, 2)])
def test_a_search(vectors, given, monkeypatch, with_graph, queries, threads) -> None:
    monkeypatch.setattr(nearest, "SCAN_LIMIT", 100)
    graph = Graph.for_vectors([vectors]) if with_graph else None
    if graph:
        assert sum(graph.add([vectors])) == COUNT
        given.clear()
    searched = NearestVectors([VectorColumn(vectors, np.arange(COUNT))], graph)
    searched.search(vectors[:queries].astype(np.float64), 3, searched.everything)
    assert given == [threads]


@pytest.mark.usefixtures("two_threads")
def test_a_graph_grows_with_all_threads_after_a_search(vectors, given) -> None:
    searched = NearestVectors([VectorColumn(vectors, np.arange(COUNT))])
    searched.search(vectors[:1].astype(np.float64), 3, searched.everything)
    graph = Graph.for_vectors([vectors])
    for count in graph.add([vectors[:200], vectors[200:]]):
        assert count == 200
        assert torch.get_num_threads() == 2
    assert given == [1, 2, 2]


@pytest.mark.usefixtures("two_threads")
def test_what_fails_leaves_them_too(vectors, monkeypatch) -> None:
    monkeypatch.setattr(nearest, "ROUGH_FROM", 0)
    monkeypatch.setattr(faiss.IndexScalarQuantizer, "search", lambda *_: 1 / 0)
    searched = NearestVectors([VectorColumn(vectors, np.arange(COUNT))])
    with pytest.raises(ZeroDivisionError):
        searched.search(vectors[:1].astype(np.float64), 3, searched.everything)
