import pytest
import torch

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder, image_encoder_class
from cmr_hub.errors import UnknownNameError, WeightsError


@pytest.mark.parametrize("name", IMAGE_ENCODERS)
def test_classes_go_by_their_own_name(name):
    assert image_encoder_class(name).name == name


def test_unknown_name():
    known = ", ".join(IMAGE_ENCODERS)
    with pytest.raises(UnknownNameError, match=f"image encoder 'vgg'; .* {known}"):
        image_encoder("vgg")


def test_from_a_file(mobilenet_file, mobilenet_state):
    encoder = image_encoder("mobilenet_v2", str(mobilenet_file))
    assert encoder.source == "file"
    arrays = {name: value.numpy() for name, value in mobilenet_state.items()}
    assert encoder.weights_sha256 == sha256_of_arrays(arrays)


def test_no_file(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file at .*absent"):
        image_encoder("mobilenet_v2", tmp_path / "absent")


def test_fingerprint_changes_with_weights_and_preprocessing(mobilenet_state, monkeypatch):
    kind = image_encoder_class("mobilenet_v2")
    first = kind(mobilenet_state, "file").fingerprint
    assert kind(mobilenet_state, "torchvision:elsewhere").fingerprint == first

    changed = {name: value.clone() for name, value in mobilenet_state.items()}
    value = changed["features.0.0.weight"]
    value[0, 0, 0, 0] = value[0, 0, 0, 0].nextafter(torch.tensor(9.0))
    assert kind(changed, "file").fingerprint != first

    smaller = type(kind.preprocessing)(resize=257, crop=225)
    monkeypatch.setattr(kind, "preprocessing", smaller)
    assert kind(mobilenet_state, "file").fingerprint != first
