"""Models and galleries are pickled and deep-copied, and find the same afterwards."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import cmr_hub
from cmr_hub.encoders.texts import TEXT_ENCODERS, text_encoder
from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.graph import Graph
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.local import LocalStore, _loaded

WAYS = {"pickle": lambda one: pickle.loads(pickle.dumps(one)), "deepcopy": copy.deepcopy}
DOCUMENTS = [
    ("a dog runs over grass", "the dog is brown"),
    ("two men on a red motorbike",),
    ("a cat sleeps", "a cat sleeps on a red sofa"),
] * 4


@pytest.fixture(params=sorted(WAYS))
def copied(request):
    return WAYS[request.param]


def found(searched, query="flame"):
    return [(hit.id, hit.score) for hit in searched.search(query, k=5)]


def test_a_model_with_its_gallery(model, copied, colour_folder):
    again = copied(model)
    assert again.fingerprint == model.fingerprint
    assert again.gallery.model is again, "the two still belong together"
    assert found(again) == found(model)
    path = next(colour_folder.glob("test/*.png"))
    np.testing.assert_array_equal(again.encode_images([path]), model.encode_images([path]))
    again.gallery.remove(where="label = 'flame'")
    assert len(again.gallery) < len(model.gallery), "what is in memory is copied"


def test_a_saved_model(saved_model, copied):
    """Its image encoder was not built yet."""
    model = cmr_hub.load(saved_model, backend="torch")
    assert found(copied(model)) == found(model)


@pytest.mark.parametrize("name", ["sketch", "photos"])
def test_a_release(name, copied):
    """Of `photos` ONNX Runtime runs the networks: its sessions are opened anew."""
    model = cmr_hub.load(name)
    assert found(copied(model), "a dog on grass") == found(model, "a dog on grass")


def test_a_gallery_on_disk_is_opened_again(model, tmp_path, copied, colour_folder):
    gallery = Gallery.create(tmp_path / "gallery", model)
    paths = sorted(colour_folder.glob("test/*.png"))
    gallery.add([Item(path.stem, path) for path in paths])
    again = copied(gallery)
    assert found(again) == found(gallery)
    gallery.remove([paths[0].stem])
    assert len(again) == len(paths) - 1, "both are of one directory"
    data = pickle.dumps(gallery.store)
    assert len(data) < 2_000, "no vectors: only where they are"
    (tmp_path / "gallery").rename(tmp_path / "elsewhere")
    with pytest.raises(ModelFormatError, match="gallery"):
        pickle.loads(data)


def test_pictures_that_have_moved_stay_so(model, tmp_path, copied, colour_folder):
    model.gallery.save(tmp_path / "gallery")
    there = Gallery.open(tmp_path / "gallery", model, root=tmp_path / "moved")
    hit = copied(there).search("flame", k=1)[0]
    assert hit.path == there.search("flame", k=1)[0].path
    assert hit.path.is_relative_to(tmp_path / "moved")


def test_a_gallery_in_memory_with_a_graph(copied):
    rows = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    graph = Graph.for_vectors([rows])
    assert sum(graph.add([rows])) == 300
    again = copied(partial(_loaded, graph))()
    assert len(again) == 300
    for name, array in graph.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


@pytest.mark.parametrize("name", sorted(set(TEXT_ENCODERS) - {"glove", "word2vec", "concat"}))
def test_text_encoders(name, copied):
    encoder = text_encoder(name).fit(DOCUMENTS)
    again = copied(encoder)
    np.testing.assert_array_equal(again.transform(DOCUMENTS), encoder.transform(DOCUMENTS))
    assert again.unknown_words("xyzzy dog") == encoder.unknown_words("xyzzy dog")


def test_a_dual_encoder(clip, copied):
    model = cmr_hub.load(clip)
    again = copied(model)
    # Where the weights lie in memory may change the last bit.
    rows = again.encode_texts(["a dog"]), model.encode_texts(["a dog"])
    np.testing.assert_allclose(*rows, atol=1e-6)


def test_what_they_are(model, tmp_path, make_small_gallery):
    assert repr(model) == (
        "CrossModalModel(dim=6, image='mobilenet_v2', text='bow', classes=3, gallery=12 items)"
    )
    model.gallery = None
    assert repr(model).endswith("classes=3)")
    gallery = make_small_gallery(tmp_path / "gallery")
    assert repr(gallery) == (
        f"Gallery(2 items, dim=4, targets=('image',), directory='{tmp_path}/gallery')"
    )
    assert repr(make_small_gallery(None)) == "Gallery(2 items, dim=4, targets=('image',))"


def test_a_dataset_is_not_shown_whole(colour_folder):
    dataset = cmr_hub.datasets.Folder(colour_folder)
    assert repr(dataset) == (
        "PairDataset('folder', protocol='folders', 36 items, 3 classes, train 24, test 12)"
    )


@pytest.fixture
def make_small_gallery():
    def make(directory: Path | None) -> Gallery:
        store = LocalStore("m") if directory is None else LocalStore.create(directory, "m")
        gallery = Gallery(store)
        items = items_table([Item("a", Path("/a.jpg")), Item("b", Path("/b.jpg"))])
        gallery.add_vectors(items, image_embeddings=np.eye(4, dtype=np.float32)[:2])
        return gallery

    return make
