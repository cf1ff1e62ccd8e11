"""A model directory that is damaged, or does not fit together, is refused with its file's name."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cmr_hub.checksums import sha256_of_file
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.storage import save_text_encoder
from cmr_hub.errors import CMRError, ModelFormatError
from cmr_hub.models.cross_modal import CrossModalModel

FILES = (
    *("history.json", "image_encoder.safetensors", "model.safetensors"),
    *("text_encoder.json", "text_encoder.safetensors"),
)


@pytest.fixture
def saved(saved_model, tmp_path):
    return shutil.copytree(saved_model, tmp_path / "model")


def edit_config(directory, change):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    change(config)
    for name in config["files"]:
        if (directory / name).is_file():
            config["files"][name] = sha256_of_file(directory / name)
    path.write_text(json.dumps(config))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip_last_byte, lambda path: path.unlink()])
@pytest.mark.parametrize("name", FILES)
def test_damaged_file_is_named(saved, name, damage):
    damage(saved / name)
    with pytest.raises(ModelFormatError, match=name):
        CrossModalModel.from_pretrained(saved)


@pytest.mark.parametrize("damage", [truncate, lambda path: path.unlink()])
def test_damaged_config(saved, damage):
    damage(saved / "config.json")
    with pytest.raises(ModelFormatError, match=r"config\.json"):
        CrossModalModel.from_pretrained(saved)


def test_not_a_directory(tmp_path):
    with pytest.raises(ModelFormatError, match="not a model directory"):
        CrossModalModel.from_pretrained(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("image_projector.layers.1.bias"),
            "no tensor image_projector.layers.1.bias",
        ),
        (lambda t: t.update(more=torch.zeros(1)), r"no part of the model uses: \['more'\]"),
        (lambda t: t["text_projector.scaling.mean"].fill_(np.nan), "not finite"),
        (
            lambda t: t.update({"centroids.images": torch.zeros(2, 6)}),
            r"requires float32 or float16 \(3, 6\)",
        ),
        (
            lambda t: t.update({"centroids.texts": torch.zeros(3, 6, dtype=torch.float64)}),
            "centroids.texts is F64",
        ),
    ],
)
def test_tensors_that_do_not_fit(saved, change, message):
    tensors = load_file(saved / "model.safetensors")
    change(tensors)
    save_file(tensors, saved / "model.safetensors")
    edit_config(saved, lambda config: None)
    with pytest.raises(ModelFormatError, match=message):
        CrossModalModel.from_pretrained(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["image_tower"]["projector"].update(hidden=[5, 5]), r"layers\.\d"),
        (lambda c: c["image_tower"]["projector"].update(in_dim=1281), "takes rows of 1281"),
        (lambda c: c["text_tower"]["projector"].update(dim=10**6), "float32"),
        (lambda c: c.update(classes=["flame"]), "centroids.images"),
        (lambda c: c.update(classes=[]), "no part of the model uses"),
    ],
)
def test_config_that_does_not_fit(saved, change, message):
    edit_config(saved, change)
    with pytest.raises(ModelFormatError, match=message):
        CrossModalModel.from_pretrained(saved)


def test_unknown_image_encoder(saved):
    edit_config(saved, lambda config: config["image_tower"]["encoder"].update(name="resnet"))
    with pytest.raises(CMRError, match="unknown image encoder 'resnet'"):
        CrossModalModel.from_pretrained(saved)


def test_weights_of_another_encoder(saved):
    weights = load_file(saved / "image_encoder.safetensors")
    weights["features.0.0.weight"][0, 0, 0, 0] += 1
    save_file(weights, saved / "image_encoder.safetensors")
    edit_config(saved, lambda config: None)
    loaded = CrossModalModel.from_pretrained(saved)
    with pytest.raises(ModelFormatError, match="other weights or another preprocessing"):
        loaded.encode_images([])


def test_text_encoder_of_another_model(saved):
    save_text_encoder(text_encoder("bow").fit([("other", "words")]), saved)
    with pytest.raises(ModelFormatError, match=r"text_encoder.* checksum does not match"):
        CrossModalModel.from_pretrained(saved)
    edit_config(saved, lambda config: None)
    with pytest.raises(ModelFormatError, match="takes rows of"):
        CrossModalModel.from_pretrained(saved)
