"""Galleries with more vectors than are compared one by one: limits are made small here."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from at_once import at_once

from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery import graph as graphs
from cmr_hub.gallery import local, nearest
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.graph import Graph
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.manifest import Manifest
from cmr_hub.gallery.tensors import map_tensors, write_tensors

COUNT, DIM = 3000, 24


def rows(seed: int, count: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(count, DIM)) / np.arange(1, DIM + 1) ** 0.5
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "EXACT_LIMIT", 1000)
    monkeypatch.setattr(local, "TAIL_LIMIT", 50)
    monkeypatch.setattr(nearest, "SCAN_LIMIT", 100)
    monkeypatch.setattr(graphs, "EF_SEARCH", 64)


def put(gallery: Gallery, vectors: np.ndarray, first: int, last: int) -> None:
    items = [Item(f"{i}", metadata={"n": i, "tenth": i % 10 == 0}) for i in range(first, last)]
    gallery.add_vectors(items_table(items), image_embeddings=vectors[first:last])


@pytest.fixture
def vectors() -> np.ndarray:
    return rows(0, COUNT)


@pytest.fixture
def saved(vectors: np.ndarray, tmp_path: Path) -> Path:
    """A gallery of 2,900 rows in a graph and 40 after it, 100 of them removed."""
    gallery = Gallery.from_vectors(
        items_table([]), image_embeddings=np.zeros((0, DIM)), model_id="m"
    )
    gallery.save(tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g")
    put(gallery, vectors, 0, 1500)
    gallery.store.optimise()
    put(gallery, vectors, 1500, 2960)
    gallery.store.optimise()
    gallery.remove(where="n >= 100 AND n < 200")
    put(gallery, vectors, 2960, COUNT)
    gallery.store.optimise()
    return tmp_path / "g"


def recall(gallery: Gallery, vectors: np.ndarray, passes: np.ndarray, where: str | None) -> float:
    found = wanted = 0
    for query in rows(1, 60):
        scores = np.where(passes, vectors.astype(np.float64) @ query, -2)
        best = set(np.argsort(-scores)[:10].tolist())
        hits = gallery.search(query, where=where)
        assert [hit.score for hit in hits] == sorted([hit.score for hit in hits], reverse=True)
        for hit in hits:
            assert passes[int(hit.id)]
            assert hit.score == pytest.approx(scores[int(hit.id)], abs=1e-6)
        found += len(best & {int(hit.id) for hit in hits})
        wanted += 10
    return found / wanted


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        (None, lambda n: n >= 0),
        ("n < 1500", lambda n: n < 1500),
        ("tenth", lambda n: n % 10 == 0),
        ("n >= 2950", lambda n: n >= 2950),
        ("n IN (5, 50, 2999)", lambda n: np.isin(n, (5, 50, 2999))),
    ],
)
def test_nearly_all_of_the_best_are_found(saved, vectors, where, passes) -> None:
    gallery = Gallery.open(saved)
    assert Manifest.read(saved).graphs["image"].segments == 2
    n = np.arange(COUNT)
    there = passes(n) & ~((n >= 100) & (n < 200))
    if there.sum() < 10:
        assert {int(h.id) for h in gallery.search(np.ones(DIM), where=where)} == {5, 50, 2999}
        return
    assert recall(gallery, vectors, there, where) >= 0.97


def test_pages_of_a_graph(saved: Path) -> None:
    gallery = Gallery.open(saved)
    query = rows(2, 1)[0]
    whole = gallery.search(query, 30)
    pages = [gallery.search(query, 6, offset=offset) for offset in range(0, 30, 6)]
    assert [hit.id for page in pages for hit in page] == [hit.id for hit in whole]
    assert len(gallery.search(query, 2900)) == 2900


def test_compaction_makes_one_graph_of_what_is_left(saved: Path, vectors: np.ndarray) -> None:
    gallery = Gallery.open(saved)
    gallery.store.compact()
    manifest = Manifest.read(saved)
    assert (manifest.count, manifest.removed, len(manifest.segments)) == (2900, None, 1)
    n = np.arange(COUNT)
    assert recall(Gallery.open(saved), vectors, (n < 100) | (n >= 200), None) >= 0.97
    gallery.store.verify()


def test_links_that_lead_astray_are_refused(vectors: np.ndarray, tmp_path: Path) -> None:
    graph = Graph.for_vectors([vectors])
    assert sum(graph.add([vectors])) == COUNT
    arrays = graph.arrays()
    again = Graph.of_arrays(arrays, DIM, COUNT)
    for query in rows(3, 5):
        for one, other in zip(
            graph.search(query, 10, 1, None), again.search(query, 10, 1, None), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    upper = int(np.argmax(arrays["levels"] > 1))
    beyond = np.array(arrays["neighbors"])
    beyond[17] = COUNT
    lost = np.array(arrays["levels"])
    lost[upper] = 1
    for change in (
        {"neighbors": beyond},
        {"neighbors": arrays["neighbors"][:-1]},
        {"levels": lost},
        {"levels": arrays["levels"] * 100},
        {"entry": np.array([COUNT, 1])},
        {"entry": np.array([0, 50])},
        {"codes": arrays["codes"][1:]},
        {"codes": arrays["codes"].astype(np.int32)},
        {"bounds": np.array([0, np.nan], np.float32)},
        {"bounds": np.zeros(3, np.float32)},
    ):
        with pytest.raises(ModelFormatError, match="graph"):
            Graph.of_arrays({**arrays, **change}, DIM, COUNT)
    with pytest.raises(ModelFormatError, match="graph"):
        Graph.of_arrays({"codes": arrays["codes"]}, DIM, COUNT)
    write_tensors(tmp_path / "g", {name: [array] for name, array in arrays.items()})
    for name, array in map_tensors(tmp_path / "g").items():
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize("on_disk", [True, False])
def test_an_interrupted_extension_changes_no_search(
    vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: bool
) -> None:
    store = local.LocalStore.create(tmp_path / "g", "m") if on_disk else local.LocalStore("m")
    gallery = Gallery(store)
    put(gallery, vectors, 0, 2000)
    store.optimise()
    put(gallery, vectors, 2000, 2900)
    query = vectors[2899]  # which the extension does not reach
    before = gallery.search(query, 30)

    def interrupted(bar: object, count: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(graphs, "_BLOCK", 600)
        patch.setattr(local.tqdm, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.optimise()
    assert gallery.search(query, 30) == before
    put(gallery, np.tile(-query, (COUNT, 1)), 2900, COUNT)
    assert gallery.search(query, 30) == before
    store.optimise()
    assert store.facts()["search"] == "image: graph"
    assert gallery.search(query)[0].id == "2899"


def test_many_threads_load_a_graph_once(
    saved: Path, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = [], Graph.of_arrays

    def noted(*arguments: object) -> Graph:
        loaded.append(arguments)
        time.sleep(0.05)
        return load(*arguments)

    monkeypatch.setattr(Graph, "of_arrays", noted)
    gallery, query = Gallery.open(saved), rows(1, 1)[0]
    first, *others = at_once([lambda: gallery.search(query, k=20)] * 4)
    assert len(loaded) == 1
    assert others == [first] * 3
    assert first[0].score == pytest.approx((vectors @ query)[int(first[0].id)], abs=1e-6)
