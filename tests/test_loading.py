import json
import shutil

import numpy as np
import pytest

import cmr_hub
from cmr_hub.errors import ModelFormatError, QueryError
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector


def test_model_and_gallery(saved_model, model):
    loaded = cmr_hub.load(str(saved_model))
    assert isinstance(loaded, cmr_hub.CrossModalModel)
    assert isinstance(loaded.gallery, cmr_hub.Gallery)
    assert loaded.fingerprint == model.fingerprint
    for target in ("image", "text"):
        np.testing.assert_array_equal(
            loaded.gallery.embeddings[target], model.gallery.embeddings[target]
        )
        assert loaded.search("flame", k=12, target=target) == model.search(
            "flame", k=12, target=target
        )


def test_model_without_a_gallery(tmp_path):
    CrossModalModel(Projector(4, (), 2), Projector(4, (), 2)).save_pretrained(tmp_path / "m")
    loaded = cmr_hub.load(tmp_path / "m")
    assert loaded.gallery is None
    with pytest.raises(QueryError, match="no gallery"):
        loaded.search("flame")


def test_no_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("absent", "file"):
        with pytest.raises(ModelFormatError, match=rf"no model directory .*{name}; train one with"):
            cmr_hub.load(tmp_path / name)
    with pytest.raises(ModelFormatError, match="not a model directory"):
        cmr_hub.load(tmp_path)


def test_gallery_of_another_model(saved_model, tmp_path):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    config = json.loads((directory / "config.json").read_text())
    config["text_projector"]["activation"] = "tanh"
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFormatError, match="holds vectors of model"):
        cmr_hub.load(directory)


@pytest.mark.parametrize("name", ["manifest.json", "embeddings.safetensors", "items.parquet"])
def test_damaged_gallery(saved_model, tmp_path, name):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    path = directory / "gallery" / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelFormatError, match=name):
        cmr_hub.load(directory)
