from contextlib import nullcontext

import numpy as np
import pytest
import torch
from alignment import COLOURS, SIDE, N, V

from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.texts import text_encoder
from scripts.default import alignment as module
from scripts.default.captioned import Captioned
from scripts.default.views import PixelViews


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    monkeypatch.setattr(module, "low_precision", nullcontext)


@pytest.fixture
def pictures():
    """Half of them, of another dataset, have no label; every sixth is held out."""
    names = [list(COLOURS)[row % 4] for row in range(N)]
    held_out = np.isin(np.arange(N) % 24, (0, 7, 14, 21))
    return Captioned(
        images=tuple(f"{row}.png" for row in range(N)),
        sentences=tuple((f"a {name} picture", f"something {name}") for name in names),
        labels=np.where(np.arange(N) < 24, np.arange(N) % 4, -1),
        n_classes=4,
        sources=("labelled", "plain"),
        source=np.arange(N) // 24,
        held_out=held_out,
    )


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(0)
    colours = torch.tensor(list(COLOURS.values()))[torch.arange(N) % 4]
    noise = torch.randint(-25, 26, (N, V, SIDE, SIDE, 3), generator=generator)
    pixels = (colours.view(N, 1, 1, 1, 3) + noise).clamp(0, 255).to(torch.uint8)
    return PixelViews(pixels, tuple(map(str, range(N))))


@pytest.fixture
def words(pictures):
    options = {"dim": 8, "min_count": 1, "epochs": 20, "filters": 16}
    return text_encoder("text-cnn", **options).fit(pictures.sentences)


@pytest.fixture
def start():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        return CompactEncoder(CompactEncoder.build().state_dict(), "file")
