import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder, mobilenet_v2
from cmr_hub.encoders.images.weights import read_weights
from cmr_hub.errors import ImageError


@pytest.fixture(scope="module")
def encoder(mobilenet_state):
    return MobileNetV2Encoder(mobilenet_state, "file")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    found = []
    for number in range(11):
        cells = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        found.append(folder / f"{number}.png")
        Image.fromarray(cells).resize((60 + 5 * number, 50)).save(found[-1])
    return found


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    left = torch.get_num_threads()
    torch.set_num_threads(before)
    assert left == 2, "encode left another number of threads"


def torchvision_features(state, encoder, paths):
    """What torchvision's own network, batch norms not fused, hands to its classifier."""
    network = mobilenet_v2()
    network.load_state_dict(state, strict=False)
    seen = []
    network.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    batch = torch.stack([encoder.preprocessing(read_image(path)) for path in paths])
    with torch.inference_mode():
        network.eval()(batch)
    return seen[0].numpy()


def test_features_are_torchvisions(encoder, mobilenet_state, paths):
    expected = torchvision_features(mobilenet_state, encoder, paths[:6])
    features = encoder.encode(paths[:6])
    assert features.shape == (6, 1280)
    assert features.dtype == np.float32
    assert expected.std(axis=0).max() > 0.01
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("blocks", [1, 4, 18])
def test_cut(encoder, paths, blocks):
    frozen, tail = encoder.cut(blocks)
    batch = torch.stack([encoder.preprocessing(read_image(path)) for path in paths[:2]])
    with torch.inference_mode():
        between = frozen(batch)
        features = tail(between).numpy()
    if blocks == 4:
        assert between.shape == (2, 160, 9, 9)
    np.testing.assert_allclose(features, encoder.encode(paths[:2]), rtol=1e-4, atol=1e-4)
    assert encoder.with_tail(tail).weights_sha256 == encoder.weights_sha256


def test_one_by_one_and_in_batches(encoder, paths):
    together = encoder.encode(paths)
    alone = np.concatenate([encoder.encode([path]) for path in paths])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_open_pictures_are_as_their_files(encoder, paths):
    opened = [Image.open(path) for path in paths[:3]]
    np.testing.assert_array_equal(encoder.encode(opened), encoder.encode(paths[:3]))


def test_order_is_kept_across_threads(encoder, paths, two_threads):
    threaded = encoder.encode(paths)
    torch.set_num_threads(1)
    single = encoder.encode(paths)
    torch.set_num_threads(2)
    np.testing.assert_allclose(threaded, single, rtol=1e-4, atol=1e-5)
    assert len(np.unique(single.round(3), axis=0)) == len(paths)


@pytest.mark.parametrize("place", [0, 5, 10])
def test_broken_picture_is_named(encoder, paths, tmp_path, two_threads, place):
    broken = tmp_path / "half.png"
    broken.write_bytes(paths[0].read_bytes()[:60])
    mixed = list(paths)
    mixed[place] = broken
    with pytest.raises(ImageError, match=r"half\.png"):
        encoder.encode(mixed)


def test_no_pictures(encoder, two_threads):
    assert encoder.encode([]).shape == (0, 1280)


def test_caller_keeps_gradients_and_training_mode(encoder, paths):
    encoder.encode(paths[:1])
    assert torch.is_grad_enabled()
    assert not encoder.network.training
    assert not any(weight.requires_grad for weight in encoder.network.parameters())


def test_real_weights(mobilenet_weights, data_home):
    state = read_weights(mobilenet_weights)
    encoder = MobileNetV2Encoder(state, "file")
    root = data_home / "pascal-sentence" / "dataset"
    classes = ("aeroplane", "bus", "cat", "sheep")
    train, test = (
        [path for name in classes for path in sorted((root / name).iterdir())[part]]
        for part in (slice(0, 6), slice(-5, None))
    )
    expected = torchvision_features(state, encoder, test[:3])
    rows, queries = encoder.encode(train), encoder.encode(test)
    np.testing.assert_allclose(queries[:3], expected, rtol=1e-3, atol=1e-3)

    # The nearest mean of six photographs names the class: chance is a quarter.
    means = rows.reshape(len(classes), -1, 1280).mean(axis=1)
    nearest = np.linalg.norm(queries[:, None] - means, axis=2).argmin(axis=1)
    assert (nearest == np.repeat(range(4), 5)).mean() >= 0.85
