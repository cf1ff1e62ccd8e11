"""A gallery of random vectors, in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cmr_hub import load
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table


def unit_rows(seed: int, *shape: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def make_gallery() -> Callable[[int], Gallery]:
    """`make_gallery(n)`: items `item-0` to `item-{n-1}` with 12-d vectors of both modalities."""

    def make(count: int) -> Gallery:
        items = items_table(
            Item(
                id=f"item-{i}",
                path=None if i % 7 == 3 else Path(f"/data/class-{i % 3}/{i}.jpg"),
                sentences=tuple(f"sentence {i} {j}" for j in range(i % 4)),
                label=None if i % 5 == 2 else f"class-{i % 3}",
                metadata={"year": 2000 + i % 9},
            )
            for i in range(count)
        )
        return Gallery.from_vectors(
            items,
            image_embeddings=unit_rows(1, count, 12),
            text_embeddings=unit_rows(2, count, 12),
            model_id="model-a",
        )

    return make


@pytest.fixture
def gallery(make_gallery: Callable[[int], Gallery]) -> Gallery:
    """Sixty items."""
    return make_gallery(60)


@pytest.fixture(scope="session")
def default():
    return load("sketch")
