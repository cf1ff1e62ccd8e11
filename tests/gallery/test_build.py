import logging
from dataclasses import replace

import numpy as np
import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.errors import CMRError, ImageError
from cmr_hub.gallery.build import build_gallery
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower


@pytest.fixture
def dataset(colour_folder):
    return load_dataset("folder", colour_folder).split("test")


def test_items_and_vectors_are_the_datasets(model, dataset):
    gallery = build_gallery(model, dataset)
    assert gallery.model_id == model.fingerprint
    assert gallery.targets == ("image", "text")
    items = gallery.items.to_pylist()
    assert [item["id"] for item in items] == list(dataset.ids)
    assert [item["path"] for item in items] == [str(path.absolute()) for path in dataset.images]
    assert [tuple(item["sentences"]) for item in items] == list(dataset.sentences)
    assert [item["label"] for item in items] == [dataset.label_name(i) for i in range(12)]
    np.testing.assert_allclose(
        gallery.vectors("image"), model.encode_images(dataset.images), atol=1e-5
    )
    np.testing.assert_array_equal(
        gallery.vectors("text"), model.encode_documents(dataset.sentences)
    )


def test_what_cannot_be_found_is_left_out_and_counted(model, dataset, caplog):
    images, sentences, labels = list(dataset.images), list(dataset.sentences), dataset.labels.copy()
    images[:3] = [None] * 3
    sentences[1] = ("zyx",)
    sentences[2] = sentences[4] = ()
    labels[3] = -1
    dataset = replace(dataset, images=tuple(images), sentences=tuple(sentences), labels=labels)
    with caplog.at_level(logging.WARNING):
        gallery = build_gallery(model, dataset)
    rows = gallery.items.to_pylist()
    assert [row["id"] for row in rows] == [dataset.ids[0], *dataset.ids[3:]]
    assert [row["path"] is None for row in rows] == [True] + [False] * 9
    assert rows[1]["label"] is None
    assert len(gallery.vectors("image")) == len(gallery.vectors("text")) == 9
    assert "skipped 2 of 12 items" in caplog.text


def test_nothing_to_find(model, dataset):
    for nothing in (
        dataset.subset([]),
        replace(dataset, images=(None,) * 12, sentences=(("zyx",),) * 12),
    ):
        with pytest.raises(CMRError, match="folder has no picture and no word"):
            build_gallery(model, nothing)


def test_model_of_features(dataset):
    model = CrossModalModel(
        ImageTower(None, Projector(4, (), 2)), TextTower(None, Projector(4, (), 2))
    )
    with pytest.raises(CMRError, match="precomputed features"):
        build_gallery(model, dataset)


def test_missing_picture(model, dataset, tmp_path):
    dataset = replace(dataset, images=(tmp_path / "gone.png", *dataset.images[1:]))
    with pytest.raises(ImageError, match="gone"):
        build_gallery(model, dataset)
