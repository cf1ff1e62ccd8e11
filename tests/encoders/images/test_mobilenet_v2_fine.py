import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from cmr_hub.encoders.images import image_encoder_class
from cmr_hub.encoders.images.mobilenet_v2 import mobilenet_v2
from cmr_hub.encoders.images.mobilenet_v2_fine import FineMobileNetV2Encoder


@pytest.fixture(scope="module")
def encoder(mobilenet_state):
    return FineMobileNetV2Encoder(mobilenet_state, "file")


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(0)
    cells = generator.integers(0, 256, (3, 5, 6, 3), dtype=np.uint8)
    return [Image.fromarray(cell).resize((90, 70)) for cell in cells]


def test_features_are_roots_both_ways(encoder, mobilenet_state, pictures):
    assert image_encoder_class("mobilenet_v2_fine") is FineMobileNetV2Encoder
    network = mobilenet_v2()
    network.load_state_dict(mobilenet_state, strict=False)
    network.eval()

    def pooled(picture):
        pixels = encoder.preprocessing(picture)
        assert pixels.shape == (3, 321, 321)
        with torch.inference_mode():
            return network.features(pixels[None]).mean((2, 3))[0].numpy()

    expected = [
        (np.sqrt(pooled(picture)) + np.sqrt(pooled(ImageOps.mirror(picture)))) / 2
        for picture in pictures
    ]
    features = encoder.encode(pictures)
    assert features.shape == (3, 1280)
    # Where nothing is seen the square root of a floor of 1e-6 is left.
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=2e-3)
    assert np.std(expected, axis=0).max() > 0.01


def test_the_mirror_image_has_the_same_features(encoder, pictures):
    mirrored = [ImageOps.mirror(picture) for picture in pictures]
    np.testing.assert_allclose(
        encoder.encode(pictures), encoder.encode(mirrored), rtol=1e-3, atol=2e-3
    )


def test_it_can_be_fine_tuned(encoder):
    frozen, tail = encoder.cut(1)
    pixels = torch.full((2, 3, 321, 321), 0.1)
    out = tail(frozen(pixels))
    out.sum().backward()
    assert out.shape == (2, 1280)
    assert all(torch.isfinite(weight.grad).all() for weight in tail.parameters())
    assert encoder.with_tail(tail.eval()).name == "mobilenet_v2_fine"
