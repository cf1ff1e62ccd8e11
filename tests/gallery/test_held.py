"""Vectors of files are copied into memory after some searches, and only where there is plenty."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from cmr_hub.gallery import held
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.held import AFTER, PLENTY, HeldVectors
from cmr_hub.gallery.huge_pages import THREAD
from cmr_hub.gallery.tensors import map_tensors, write_tensors


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    matrix = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    write_tensors(tmp_path / "m", {"image": [matrix]})
    return map_tensors(tmp_path / "m")["image"]


def searched(vectors: HeldVectors, times: int) -> None:
    for _ in range(times):
        vectors.searched()
    settle()


def settle() -> None:
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(60)


def test_copied_after_some_searches(mapped: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "free_memory", lambda: PLENTY * mapped.nbytes)
    own = np.ones((3, 12), np.float32)
    vectors = HeldVectors([own, mapped])
    searched(vectors, AFTER - 1)
    assert vectors.matrices[1] is mapped
    searched(vectors, 1)
    assert vectors.matrices[0] is own
    assert vectors.matrices[1].flags.owndata
    np.testing.assert_array_equal(vectors.matrices[1], mapped)


def test_left_where_memory_is_scarce(mapped: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "free_memory", lambda: PLENTY * mapped.nbytes - 1)
    vectors = HeldVectors([mapped])
    searched(vectors, 2 * AFTER)
    assert vectors.matrices[0] is mapped


def test_a_stored_gallery_finds_the_same(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.save(tmp_path / "g")
    monkeypatch.setattr(held, "free_memory", lambda: 2**40)
    stored, query = Gallery.open(tmp_path / "g"), np.random.default_rng(1).normal(size=12)
    found = [stored.search(query, k=60) for _ in range(AFTER)]
    settle()
    found.append(stored.search(query, k=60))
    assert all(hits == gallery.search(query, k=60) for hits in found)
    (vectors,) = stored.store._rows.nearest("image")._vectors.matrices
    assert vectors.flags.owndata
