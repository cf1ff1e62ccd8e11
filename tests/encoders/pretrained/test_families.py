"""Pretrained dual encoders give what their own libraries give: same processor, same pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import FAMILIES

import cmr_hub
from cmr_hub.datasets.images import read_image
from cmr_hub.models.cross_modal import CrossModalModel

TEXTS = [
    "a dog",
    "A DOG Runs, Over the GREEN Meadow!",
    "  a cat  with spaces ",
    "красный Автобус ночью",
    "一只狗在草地上奔跑",
    "Ένας σκύλος",
    "🐕 a dog 🐈",
    "https://example.invalid/dog.jpg",
    "two red buses " * 60,
    "狗" * 100,
]
SIGLIP2 = {"padding": "max_length", "max_length": 64, "truncation": True}
HOW: dict[str, dict[str, Any]] = {
    "siglip": {"padding": "max_length", "max_length": 64, "truncation": True},
    "siglip2": SIGLIP2,
    "siglip2-naflex": SIGLIP2,
    # The whole position table: the published tokeniser says nothing.
    "chinese-clip": {"padding": True, "max_length": 40, "truncation": True},
    "align": {"padding": "max_length", "max_length": 64, "truncation": True},
}
"""How the documentation of transformers calls the processor; else padded to the longest."""
CLOSE = 1e-5


class Oracle:
    """What transformers gives with its own classes, one item at a time."""

    def __init__(self, directory: Path, how: dict[str, Any]) -> None:
        from transformers import AutoModel, AutoProcessor

        self.network = AutoModel.from_pretrained(directory).eval()
        self.processor = AutoProcessor.from_pretrained(directory)
        self.how = how

    def _outputs(self, text: str, picture: Image.Image) -> Any:
        given = {
            **self.processor(text=[text], return_tensors="pt", **self.how),
            **self.processor(images=[picture], return_tensors="pt"),
        }
        with torch.inference_mode():
            return self.network(**given)

    def images(self, pictures: Sequence[Path | Image.Image]) -> np.ndarray:
        rows = [self._outputs("a", read_image(one)).image_embeds[0] for one in pictures]
        return np.stack([(row / row.norm()).numpy() for row in rows])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        grey = Image.new("RGB", (40, 40), "grey")
        rows = [self._outputs(text, grey).text_embeds[0] for text in texts]
        return np.stack([(row / row.norm()).numpy() for row in rows])


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def directory(family: str, tiny: Callable[[str], Path]) -> Path:
    return tiny(family)


@pytest.fixture(scope="module")
def oracle(family: str, directory: Path) -> Oracle:
    return Oracle(directory, HOW.get(family, {"padding": True, "truncation": True}))


@pytest.fixture(scope="module")
def model(directory: Path) -> CrossModalModel:
    return cmr_hub.load(directory, device="cpu")


def test_pictures(model, oracle, pictures) -> None:
    expected = oracle.images(list(pictures.values()))
    _tells_apart(expected)
    found = model.encode_images(list(pictures.values()))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=CLOSE)
    for number, path in enumerate(pictures.values()):
        alone = model.encode_images([path])
        np.testing.assert_allclose(alone[0], expected[number], atol=CLOSE)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(model.encode_images([opened]), alone)


def test_texts(family, model, oracle) -> None:
    given = [text.lower() for text in TEXTS] if family.startswith("siglip2") else TEXTS
    expected = oracle.texts(given)
    _tells_apart(expected[:4])
    np.testing.assert_allclose(model.encode_texts(TEXTS), expected, atol=CLOSE)
    for text, row in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(model.encode_texts([text])[0], row, atol=CLOSE)


def test_both_sides_are_one_network(model) -> None:
    assert model.image.encoder.backbone is model.text.encoder.backbone


def _tells_apart(rows: np.ndarray) -> None:
    """Else anything would be close to anything."""
    np.fill_diagonal(cosines := rows @ rows.T, 0)
    assert cosines.max() < 0.999
