from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cmr_hub.errors import QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.space import labelled_by, space_of
from cmr_hub.gallery.vectors import VectorColumn


def unit(seed: int, count: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 4))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


ITEMS = items_table(
    [
        Item("a", Path("/data/a.jpg"), ("a cat",), "cat"),
        Item("b", Path("/data/b.jpg"), (), None),
        Item("c", None, ("a dog", "it runs"), "dog"),
    ]
)


def test_items_with_a_picture_a_text_or_both() -> None:
    images, texts = unit(0, 2), unit(1, 2)
    gallery = Gallery.from_vectors(
        ITEMS,
        image_embeddings=VectorColumn(images, np.array([0, 1])),
        text_embeddings=VectorColumn(texts, np.array([0, 2])),
        model_id="m",
    )
    space = space_of(gallery.store)
    by_id = {item.id: item for item in space.items}
    assert by_id["c"].sentences == ("a dog", "it runs")
    assert by_id["b"].path == Path("/data/b.jpg")
    assert [space.items[row].id for row in space.image_rows] == ["a", "b"]
    assert [space.items[row].id for row in space.text_rows] == ["a", "c"]
    assert (space.images == images).all()
    assert space.pairs.tolist() == [[0, 0]]
    assert space.classes == ["cat", "dog"]


def test_snapshots_become_stages_if_they_are_of_these_items() -> None:
    images, texts = unit(0, 3), unit(1, 3)
    gallery = Gallery.from_vectors(
        ITEMS, image_embeddings=images, text_embeddings=texts, model_id="m"
    )
    order = [2, 0, 1]
    stages = {0: (unit(2, 3)[order], unit(3, 3)[order]), 4: (images[order], texts[order])}
    space = space_of(gallery.store, (["c", "a", "b"], stages))
    assert (space.epoch, list(space.stages)) == (4, [0])
    by_id = dict(zip("abc", unit(2, 3), strict=True))
    for place, row in enumerate(space.image_rows):
        assert (space.stages[0][0][place] == by_id[space.items[row].id]).all()
    assert space_of(gallery.store, (["c", "a", "x"], stages)).stages == {}


def test_a_large_gallery_is_sampled() -> None:
    table = items_table([Item(f"{number:02}") for number in range(40)])
    vectors = unit(0, 40)
    gallery = Gallery.from_vectors(
        table, image_embeddings=vectors, text_embeddings=vectors, model_id="m"
    )
    space = space_of(gallery.store, max_vectors=30)
    assert (len(space.items), space.n_items) == (15, 40)
    ids = [item.id for item in space.items]
    assert ids == sorted(set(ids))
    assert ids[-1] > "20"  # not the first ones
    assert (space.images == vectors[[int(id_) for id_ in ids]]).all()
    assert (space.texts == space.images).all()
    again = space_of(gallery.store, max_vectors=30)
    assert [item.id for item in again.items] == ids
    assert space_of(gallery.store, max_vectors=80).n_items == 40


def test_an_empty_gallery() -> None:
    gallery = Gallery.from_vectors(
        ITEMS, image_embeddings=unit(0, 3), text_embeddings=unit(0, 3), model_id="m"
    )
    gallery.remove(["a", "b", "c"])
    with pytest.raises(QueryError, match="has no vectors"):
        space_of(gallery.store)


def test_the_labels_of_another_column() -> None:
    images, texts = unit(0, 3), unit(1, 3)
    gallery = Gallery.from_vectors(
        ITEMS, image_embeddings=images, text_embeddings=texts, model_id="m"
    )
    space = space_of(gallery.store)
    table = pa.table({"id": ["c", "x", "a"], "label": ["dog"] * 3, "zero_shot": ["sea", "y", None]})
    found = labelled_by(space, table, "zero_shot")
    assert [(item.id, item.label) for item in found.items] == [
        ("a", None),
        ("b", None),
        ("c", "sea"),
    ]
    assert found.classes == ["sea"]
    assert found.labels.tolist() == [-1, -1, 0]
    assert found.images is space.images
    assert [item.label for item in space.items] == ["cat", None, "dog"]
