"""Where networks run: the reference on the CPU, other precisions, and what may not meet."""

import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub import load
from cmr_hub.encoders import devices
from cmr_hub.encoders.devices import PRECISIONS, Placement
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.errors import CMRError
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.releases import release_directory

TEXTS = ["a red dog", "a picture of the sea", "кошка"]
HALVES = ("bfloat16", "float16")


@pytest.fixture(scope="module")
def pictures():
    """Noise of several sizes and colours."""
    generator = np.random.default_rng(0)
    found = []
    for height, width, level in ((40, 60, 40), (70, 50, 120), (64, 64, 200), (300, 200, 128)):
        noise = generator.normal(level, 60, (height, width, 3))
        found.append(Image.fromarray(noise.clip(0, 255).astype(np.uint8)))
    return found


def mobilenet(state):
    """A model of its own around MobileNetV2, whose network another test may not move."""
    encoder = MobileNetV2Encoder(state, "file")
    words = BowEncoder().fit([["a red dog"], ["a picture of the sea"]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        towers = Projector(1280, (), 8), Projector(words.dim, (), 8)
    return CrossModalModel(ImageTower(encoder, towers[0]), TextTower(words, towers[1]))


@pytest.fixture(params=["compact", "mobilenet_v2", "pretrained"])
def fresh(request, clip, mobilenet_state):
    """Makes a model whose network nobody else has."""
    return {
        "compact": lambda: load("sketch", device="cpu"),
        "mobilenet_v2": lambda: mobilenet(mobilenet_state),
        "pretrained": lambda: load(clip, device="cpu"),
    }[request.param]


def cosines(first, second):
    return (first.astype(np.float64) * second).sum(axis=1)


# ---- the placement that was asked for


@pytest.mark.parametrize("name", ["gpu", "cuda:77", "cuda:-1", "tpu", "", "../x", "meta"])
def test_a_device_that_is_not_there(clip, name):
    with pytest.raises(CMRError) as found:
        load(clip, device=name)
    message = str(found.value)
    assert "\n" not in message
    assert len(message) < 300
    assert "cpu" in message


def test_a_precision_that_there_is_not():
    with pytest.raises(
        CMRError, match="the precision 'int8' does not exist: choose one of float32, bfloat16"
    ):
        Placement.of("cpu", "int8")
    for name in PRECISIONS:
        assert Placement.of("cpu", name).dtype == getattr(torch, name)


def test_auto_without_an_accelerator_is_the_reference(monkeypatch):
    monkeypatch.setattr(devices, "devices", lambda: ["cpu"])
    assert Placement.of("auto") == Placement.of("cpu") == Placement()
    assert Placement.of("auto").is_reference
    assert not Placement.of("cpu", "bfloat16").is_reference


def test_auto_takes_the_first_accelerator(monkeypatch):
    monkeypatch.setattr(devices, "devices", lambda: ["cpu", "meta:0", "meta:1"])
    with pytest.raises(CMRError, match="the device meta stores no values"):
        Placement.of("auto")


def test_auto_on_the_cpu_gives_the_same_to_the_bit(monkeypatch, fresh, pictures):
    monkeypatch.setattr(devices, "devices", lambda: ["cpu"])
    model = fresh()
    images, texts = model.encode_images(pictures), model.encode_texts(TEXTS[:2])
    model.to("auto")
    np.testing.assert_array_equal(model.encode_images(pictures), images)
    np.testing.assert_array_equal(model.encode_texts(TEXTS[:2]), texts)


def test_placed_tensors():
    half = Placement("cpu", "bfloat16")
    assert half.tensor(torch.ones(2)).dtype == torch.bfloat16
    assert half.tensor(torch.ones(2, dtype=torch.int64)).dtype == torch.int64
    ones = torch.ones(2)
    assert Placement().tensor(ones) is ones
    assert Placement("cuda:0").batch_size(4) == 64
    assert Placement("cuda:0").batch_size(100) == 100
    assert Placement().batch_size(4) == 4


# ---- other precisions


@pytest.mark.parametrize("precision", HALVES)
def test_half_precision_on_the_cpu(fresh, pictures, precision):
    """Near the reference, float32 all the same, and back to the bit."""
    model = fresh()
    images, texts = model.encode_images(pictures), model.encode_texts(TEXTS[:2])
    model.to("cpu", precision=precision)
    other_images, other_texts = model.encode_images(pictures), model.encode_texts(TEXTS[:2])
    assert other_images.dtype == other_texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(other_images, axis=1), 1, atol=1e-5)
    assert not np.array_equal(images, other_images)
    least = {"bfloat16": 0.99, "float16": 0.9999}[precision]
    assert cosines(images, other_images).min() > least
    assert cosines(texts, other_texts).min() > least
    model.to("cpu")
    np.testing.assert_array_equal(model.encode_images(pictures), images)
    np.testing.assert_array_equal(model.encode_texts(TEXTS[:2]), texts)


def test_models_of_the_same_files_do_not_move_each_other(clip, pictures):
    reference = load(clip, device="cpu")
    images = reference.encode_images(pictures)
    half = load(clip, device="cpu", precision="bfloat16")
    assert half.image.encoder.placement.precision == "bfloat16"
    assert reference.image.encoder.placement.is_reference
    np.testing.assert_array_equal(reference.encode_images(pictures), images)
    assert reference.fingerprint == half.fingerprint  # galleries of both can be compared


def test_saved_models_of_the_same_files_do_not_move_each_other(clip, pictures, tmp_path):
    load(clip).save_pretrained(tmp_path / "m")
    half = load(tmp_path / "m", device="cpu", precision="bfloat16")
    reference = load(tmp_path / "m", device="cpu")
    reference.encode_images(pictures)
    half.encode_images(pictures)
    assert half.image.encoder.placement == half.text.encoder.placement
    assert half.image.encoder.placement.precision == "bfloat16"
    assert reference.image.encoder.placement.is_reference


@pytest.mark.parametrize("precision", HALVES)
def test_features_of_another_precision_never_meet_in_the_cache(
    fresh, pictures, tmp_path, precision
):
    cache = FeatureCache(tmp_path)
    model = fresh()
    encoder = model.image.encoder
    reference = encoder.encode(pictures)
    np.testing.assert_array_equal(cache.encode(encoder, pictures), reference)
    model.to("cpu", precision=precision)
    own = encoder.encode(pictures)
    np.testing.assert_array_equal(cache.encode(encoder, pictures), own)
    assert not np.array_equal(own, reference)
    model.to("cpu")
    np.testing.assert_array_equal(encoder.encode(pictures), reference)
    np.testing.assert_array_equal(cache.encode(encoder, pictures), reference)
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_texts_of_another_precision_never_meet_in_the_cache(clip, tmp_path):
    cache = FeatureCache(tmp_path)
    documents = [(text,) for text in TEXTS]
    model = load(clip, device="cpu")
    reference = cache.encode_texts(model.text.encoder, documents)
    half = load(clip, device="cpu", precision="bfloat16").text.encoder
    found = cache.encode_texts(half, documents)
    np.testing.assert_array_equal(found, half.transform(documents))
    assert not np.array_equal(found, reference)
    np.testing.assert_array_equal(cache.encode_texts(model.text.encoder, documents), reference)


def test_moving_an_encoder_keeps_its_own_weights(mobilenet_state):
    """What is saved is what was loaded, in whatever precision it ran."""
    encoder = MobileNetV2Encoder(mobilenet_state, "file")
    before, fingerprint = encoder.weights_sha256, encoder.fingerprint
    encoder.to(Placement("cpu", "bfloat16"))
    encoder.to(Placement())
    assert all(value.dtype != torch.bfloat16 for value in encoder.state.values())
    again = MobileNetV2Encoder(encoder.state, "file")
    assert (again.weights_sha256, again.fingerprint) == (before, fingerprint)


def test_the_release_is_the_compact_encoder():
    encoder = load("sketch", device="cpu").image.encoder
    assert isinstance(encoder, CompactEncoder)
    assert (release_directory("sketch") / "image_encoder.safetensors").is_file()
