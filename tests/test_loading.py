import json
import shutil

import numpy as np
import pytest

import cmr_hub
from cmr_hub.errors import ImageError, ModelFormatError, QueryError
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower


def test_model_and_gallery(saved_model, model):
    loaded = cmr_hub.load(str(saved_model))
    assert isinstance(loaded, cmr_hub.CrossModalModel)
    assert isinstance(loaded.gallery, cmr_hub.Gallery)
    assert loaded.fingerprint == model.fingerprint
    for target in ("image", "text"):
        np.testing.assert_array_equal(loaded.gallery.vectors(target), model.gallery.vectors(target))
        assert loaded.search("flame", k=12, target=target) == model.search(
            "flame", k=12, target=target
        )


def test_model_without_a_gallery(tmp_path):
    towers = ImageTower(None, Projector(4, (), 2)), TextTower(None, Projector(4, (), 2))
    CrossModalModel(*towers).save_pretrained(tmp_path / "m")
    loaded = cmr_hub.load(tmp_path / "m")
    assert loaded.gallery is None
    with pytest.raises(QueryError, match="no gallery"):
        loaded.search("flame")


def test_no_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("absent", "file"):
        with pytest.raises(
            ModelFormatError,
            match=rf"no model directory .*{name}, and no release \(photos, sketch\) or short name",
        ):
            cmr_hub.load(tmp_path / name)
    with pytest.raises(ModelFormatError, match="not a model directory"):
        cmr_hub.load(tmp_path)


def test_a_model_moves_with_its_pictures(saved_model, tmp_path):
    model = cmr_hub.load(saved_model)
    before = model.search("flame", k=12)
    there = tmp_path / "there"
    model.save_pretrained(there, pictures=True)
    moved = cmr_hub.load(there.rename(tmp_path / "elsewhere"))
    after = moved.search("flame", k=12)
    assert [hit.id for hit in after] == [hit.id for hit in before]
    for old, new in zip(before, after, strict=True):
        assert new.path.is_relative_to(tmp_path / "elsewhere" / "pictures")
        assert new.path.read_bytes() == old.path.read_bytes()
    manifest = json.loads((tmp_path / "elsewhere" / "gallery" / "manifest.json").read_text())
    assert (
        manifest["segments"][0]["root"] == "../pictures"
    )  # says nothing of the machine that wrote it
    moved.save_pretrained(tmp_path / "elsewhere")  # a model's own directory may be replaced


def test_a_picture_that_is_gone_cannot_be_copied(saved_model, tmp_path):
    model = cmr_hub.load(shutil.copytree(saved_model, tmp_path / "own"))
    gone = Item("gone", tmp_path / "gone.png")
    vector = model.gallery.vectors("image")[:1]
    model.gallery.add_vectors(items_table([gone]), image_embeddings=vector)
    with pytest.raises(ImageError, match=r"cannot copy .*gone.png"):
        model.save_pretrained(tmp_path / "m", pictures=True)
    assert not (tmp_path / "m").exists()


def test_gallery_of_another_model(saved_model, tmp_path):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    config = json.loads((directory / "config.json").read_text())
    config["text_tower"]["projector"]["activation"] = "tanh"
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFormatError, match="has vectors of model"):
        cmr_hub.load(directory)


@pytest.mark.parametrize("name", ["manifest", "vectors", "items"])
def test_damaged_gallery(saved_model, tmp_path, name):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    (path,) = (directory / "gallery").glob(f"{name}*")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelFormatError, match=path.name):
        cmr_hub.load(directory)


def test_pictures_are_in_the_manifest(saved_model, tmp_path):
    directory = tmp_path / "m"
    cmr_hub.load(saved_model).save_pretrained(directory, pictures=True)
    picture = directory / "pictures" / "sea1.png"
    files = json.loads((directory / "config.json").read_text())["files"]
    assert sum(name.startswith("pictures/") for name in files) == 12
    picture.write_bytes(picture.read_bytes()[:-1])
    with pytest.raises(ModelFormatError, match=r"sea1\.png is damaged"):
        cmr_hub.load(directory)
    picture.unlink()
    with pytest.raises(ModelFormatError, match=r"pictures/sea1\.png is missing"):
        cmr_hub.load(directory)
