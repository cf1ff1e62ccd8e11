"""The oracle compares with every vector in float64, in plain numpy."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from cmr_hub.gallery import nearest
from cmr_hub.gallery.nearest import NearestVectors
from cmr_hub.gallery.vectors import VectorColumn

COUNT, DIM, K = 3_000, 24, 10


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def drawn(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and queries near some of them."""
    generator = np.random.default_rng(0)
    rows = unit(generator.normal(size=(COUNT, DIM)))
    queries = unit(rows[:3] + 0.1 * generator.normal(size=(3, DIM)))
    if kind == "near ties":  # far closer to each other than 16 bits can tell
        rows[:COUNT:2] = unit(rows[0] + 1e-5 * generator.normal(size=(COUNT // 2, DIM)))
    elif kind == "ties":
        rows[:COUNT:3] = rows[0]
    return rows.astype(np.float32), queries


def columns(rows: np.ndarray) -> list[VectorColumn]:
    """Of several sizes, with rows of the table that have no vector between them."""
    parts = np.split(np.arange(COUNT), [5, 6, 1_700])
    return [VectorColumn(rows[part], 2 * part) for part in parts]


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were asked for in 32 bits, each time."""
    monkeypatch.setattr(nearest, "ROUGH_FROM", 1_000)
    asked: list[int] = []
    knn = faiss.knn

    def noted(queries, matrix, count, **named):
        asked.append(count)
        return knn(queries, matrix, count, **named)

    monkeypatch.setattr(faiss, "knn", noted)
    return asked


@pytest.mark.parametrize("kind", ["plain", "near ties", "ties"])
@pytest.mark.parametrize("count", [1, K, COUNT - 1, COUNT + 7])
def test_the_best_are_found_whatever_the_bits(kind, count, scans) -> None:
    rows, queries = drawn(kind)
    searched = NearestVectors(columns(rows))
    for query, (found, scores, vectors) in zip(
        queries, searched.search(queries, count, searched.everything), strict=True
    ):
        expected = (rows.astype(np.float64) * query).sum(axis=1)
        order = np.lexsort((np.arange(COUNT), -expected))[:count]
        np.testing.assert_array_equal(found, 2 * order)
        np.testing.assert_array_equal(scores, expected[order])
        np.testing.assert_array_equal(vectors, rows[order])
    if kind == "plain":
        assert scans == []  # 16 bits were enough


def test_a_filter_and_many_queries_are_looked_at_in_32_bits(scans) -> None:
    rows, queries = drawn("plain")
    searched = NearestVectors(columns(rows))
    searched.search(np.concatenate([queries, queries]), K, searched.everything)
    assert scans
    passes = np.zeros(2 * COUNT, dtype=bool)
    passes[:900] = True
    (found, _, _), *_ = searched.search(queries, K, searched.select(passes))
    assert found.max() < 900
