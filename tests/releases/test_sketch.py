"""The release that comes with the package."""

import json
from pathlib import Path

import numpy as np
import pytest

import cmr_hub
from cmr_hub.releases import release_directory

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def model():
    return cmr_hub.load("sketch")


def test_it_finds_what_is_asked_for(model):
    hits = model.search("two red buses on a street at night", k=5)
    for hit in hits[:2]:
        assert any("two red buses" in sentence.lower() for sentence in hit.sentences)
        assert any("night" in sentence for sentence in hit.sentences)
    assert all(hit.label == "bus" for hit in hits)
    sheep = model.search("a white sheep in a meadow", k=5)
    assert sum(hit.label == "sheep" for hit in sheep) >= 3


def test_a_picture_of_the_gallery_finds_itself_and_its_sentences(model):
    item = model.search("a train in the snow", k=1)[0]
    assert model.search(image=item.path, k=1, target="image")[0].id == item.id
    texts = model.search(image=item.path, k=5, target="text")
    assert sum(hit.label == item.label for hit in texts) >= 3


def test_every_picture_of_the_gallery_is_there(model):
    paths = model.gallery.items.column("path").to_pylist()
    assert len(paths) == len(set(paths)) == 240
    for path in paths:
        assert Path(path).is_relative_to(release_directory("sketch") / "pictures")
        assert Path(path).is_file()


def test_stored_vectors_are_those_that_the_encoder_gives(model):
    paths = model.gallery.items.column("path").to_pylist()[:6]
    found = (model.encode_images(paths) * model.gallery.vectors("image")[:6]).sum(1)
    np.testing.assert_allclose(found, 1, atol=1e-3)


def test_galleries_made_with_it_stay_its_own(model):
    """They keep this fingerprint: a release that computes another one would refuse them."""
    assert model.fingerprint == "1189f8746c0752cf5d69118010e1d067e7ecb3e9b75a6750610b005624c4ef31"


def test_it_is_small():
    folder = release_directory("sketch")
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    assert sizes["image_encoder.safetensors"] <= 6 * MEGABYTE
    words = sizes["text_encoder.safetensors"] + sizes["text_encoder.json"]
    assert words <= 3 * MEGABYTE
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= 12 * MEGABYTE


def test_its_figures_are_those_in_the_results(model):
    results = Path(__file__).parents[2] / "results" / "default.json"
    assert json.loads(results.read_text(encoding="utf-8")) == model.training
