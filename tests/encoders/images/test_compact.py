"""The compact encoder: its size, its features, its weights file."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.errors import WeightsError


@pytest.fixture(scope="module")
def network():
    """Random weights, with batch norms of which none is the identity or zero."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = CompactEncoder.build()
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(std=0.1)
            norm.momentum = 1.0
        network.train()(torch.randn(8, 3, 1, 1) + torch.randn(8, 3, 64, 64) / 4)
    return network.eval()


@pytest.fixture(scope="module")
def encoder(network):
    return CompactEncoder(network.state_dict(), "file")


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(0)
    cells = generator.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    return [Image.fromarray(cell).resize((70, 50 + 9 * at)) for at, cell in enumerate(cells)]


def test_size(network):
    assert sum(weight.numel() for weight in network.parameters()) < 1.5e6
    assert sum(2 * value.numel() for value in network.state_dict().values()) < 6e6


def test_features_are_the_plain_networks(encoder, network, pictures):
    batch = torch.stack([encoder.preprocessing(read_image(picture)) for picture in pictures])
    assert batch.shape == (5, 3, 128, 128)
    with torch.inference_mode():
        expected = network(batch).numpy()
    features = encoder.encode(pictures)
    assert features.shape == (5, CompactEncoder.dim)
    assert expected.std(axis=0).max() > 0.01
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [64, 96, 128])
def test_halved_five_times(network, side):
    *body, head = network
    with torch.inference_mode():
        before_pool = head[0](torch.nn.Sequential(*body)(torch.zeros(1, 3, side, side)))
    assert before_pool.shape == (1, CompactEncoder.dim, side // 32, side // 32)


def test_fresh_residual_blocks_are_the_identity():
    network = CompactEncoder.build()
    rows = torch.randn(2, 64, 6, 6)
    assert torch.equal(network.stage2_1.train()(rows), rows)


def test_weights_of_16_bits(network, encoder, pictures, tmp_path):
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_file(halves, tmp_path / "encoder.safetensors")
    read = image_encoder("compact", tmp_path / "encoder.safetensors")
    assert all(value.dtype in {torch.float32, torch.int64} for value in read.state.values())
    whole, half = encoder.encode(pictures), read.encode(pictures)
    assert np.abs(half - whole).max() < 0.02 * np.abs(whole).max()


@pytest.mark.parametrize("blocks", [1, 3])
def test_cut(encoder, pictures, blocks):
    frozen, tail = encoder.cut(blocks)
    batch = torch.stack([encoder.preprocessing(read_image(picture)) for picture in pictures])
    with torch.inference_mode():
        features = tail(frozen(batch)).numpy()
    np.testing.assert_allclose(features, encoder.encode(pictures), rtol=1e-4, atol=1e-4)
    assert encoder.with_tail(tail).weights_sha256 == encoder.weights_sha256


def test_nothing_to_download():
    with pytest.raises(WeightsError, match="--image-weights"):
        image_encoder("compact")


def test_weights_of_another_network(mobilenet_file):
    with pytest.raises(WeightsError, match="not the weights of compact"):
        image_encoder("compact", mobilenet_file)
