"""Batch norms folded into convolutions: the same features, and nothing of torch replaced."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

import cmr_hub
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.images.fusion import fold_batch_norm
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.encoders.images.mobilenet_v2_fine import FineMobileNetV2Encoder


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def norm(channels, **options):
    """A batch norm in use: neither the identity nor zero."""
    made = nn.BatchNorm2d(channels, **options)
    for values in (*made.parameters(), *made.buffers()):
        if values.is_floating_point():
            values.data.uniform_(0.5, 1.5)
    return made


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.fixture
def pixels():
    return torch.randn(2, 3, 8, 8)


@pytest.fixture
def network():
    inner = nn.Sequential(nn.Conv2d(4, 6, 1, bias=False), norm(6), nn.ReLU(inplace=True))
    deeper = nn.ModuleDict({"apart": nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), norm(6))})
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), norm(4), inner, deeper["apart"]).eval()


@pytest.fixture(params=[CompactEncoder, MobileNetV2Encoder, FineMobileNetV2Encoder])
def encoder(request, mobilenet_state):
    if request.param is not CompactEncoder:
        return request.param(mobilenet_state, "file")
    whole = CompactEncoder.build()
    for module in norms(whole):
        module.load_state_dict(norm(module.num_features).state_dict())
    return CompactEncoder(whole.state_dict(), "file")


@pytest.mark.parametrize("mode", [True, False])
def test_folded_wherever_both_stand_together(network, pixels, mode) -> None:
    expected = network(pixels)
    network.train(mode)
    before = copy.deepcopy(network.state_dict())
    folded = fold_batch_norm(network)
    assert norms(folded) == []
    assert not folded.training
    torch.testing.assert_close(folded(pixels), expected, rtol=1e-5, atol=1e-5)
    # What was given is as it was.
    assert len(norms(network)) == 3
    assert network.training is mode
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


class Backwards(nn.Sequential):
    """Its children in another order."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        for module in reversed(self):
            pixels = module(pixels)
        return pixels


@pytest.mark.parametrize(
    "layers",
    [
        lambda: nn.Sequential(norm(3), nn.Conv2d(3, 3, 1)),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), norm(3)),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), norm(3, track_running_stats=False)),
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 3, 1), norm(3)),
        lambda: Backwards(nn.Conv2d(3, 3, 1), norm(3)),
    ],
)
def test_the_rest_is_left_alone(layers, pixels) -> None:
    network = layers().eval()
    folded = fold_batch_norm(network)
    assert len(norms(folded)) == 1
    assert torch.equal(folded(pixels), network(pixels))


@pytest.mark.parametrize("batch", [1, 4])
def test_features_are_those_of_torchs_own_folding_to_the_bit(encoder, batch) -> None:
    # Stored features and galleries were made with it.
    expected = fuse(encoder.blocks(encoder._complete())).requires_grad_(False)
    expected = expected.to(memory_format=torch.channels_last)
    own = encoder.network
    if isinstance(encoder, FineMobileNetV2Encoder):
        own = own.network
    pixels = torch.randn(batch, 3, 97, 97).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        found = own(pixels)
        assert found.std() > 0.01
        assert torch.equal(found, expected(pixels))
    assert norms(own) == []


def test_nothing_is_traced(encoder, monkeypatch) -> None:
    # Tracing replaces `nn.Module.__call__` for the whole process, and other threads fail.
    monkeypatch.setattr(torch.fx.Tracer, "trace", lambda *_, **named: pytest.fail("traced"))
    type(encoder)(encoder.state, "file").cut(1)


def test_no_module_imports_what_traces() -> None:
    sources = list(Path(cmr_hub.__file__).parent.rglob("*.py"))
    assert sources
    importing = re.compile(r"^\s*(from|import)\s+torch(\.fx|\s+import\s+fx)\b", re.MULTILINE)
    assert not [path for path in sources if importing.search(path.read_text(encoding="utf-8"))]
