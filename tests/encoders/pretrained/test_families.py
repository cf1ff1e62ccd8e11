"""Pretrained dual encoders give what their own libraries give: same processor, same pooling."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_library import OpenClip, Transformers, own_library
from PIL import Image
from tiny_models import FAMILIES
from tiny_open_clip import OPEN_CLIP

import cmr_hub
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
    "data:image/png;base64,iVBORw0KGgo=",
    "two red buses " * 60,
    "狗" * 100,
]
LIMITS = {"align": 64, "chinese-clip": 40, "vision-text": 40, "clip": 77, "metaclip-2": 77}
"""Tokens of the longest text; else 64 (SigLIP's)."""
BYTES = ("clip", "siglip2", "siglip2-naflex", *OPEN_CLIP)
"""Families whose tokenisers know no 龍: its three bytes are three tokens."""
CLOSE = 1e-5


@pytest.fixture(scope="module", params=[*FAMILIES, *OPEN_CLIP])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def directory(family: str, tiny: Callable[[str], Path]) -> Path:
    return tiny(family)


@pytest.fixture(scope="module")
def own(family: str, directory: Path) -> Transformers | OpenClip:
    return own_library(family, directory)


@pytest.fixture(scope="module")
def model(directory: Path) -> CrossModalModel:
    return cmr_hub.load(directory, device="cpu")


def test_pictures(model, own, pictures) -> None:
    expected = own.images(list(pictures.values()))
    _tells_apart(expected)
    found = model.encode_images(list(pictures.values()))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=CLOSE)
    for number, path in enumerate(pictures.values()):
        alone = model.encode_images([path])
        np.testing.assert_allclose(alone[0], expected[number], atol=CLOSE)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(model.encode_images([opened]), alone)


def test_texts(model, own) -> None:
    expected = own.texts(TEXTS)
    _tells_apart(expected[:4])
    np.testing.assert_allclose(model.encode_texts(TEXTS), expected, atol=CLOSE)
    for text, row in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(model.encode_texts([text])[0], row, atol=CLOSE)


def test_half_a_character(model) -> None:
    found, expected = model.encode_texts(["a \ud800 dog", "a ? dog"])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_text_that_is_cut_is_told_of_once(family, model, caplog) -> None:
    limit = 77 if family in OPEN_CLIP and family != "open_clip-siglip2" else LIMITS.get(family, 64)
    encoder = model.text.encoder
    encoder._has_warned = False
    # Every letter is a token where the vocabulary has few words; a beginning and an end at most.
    with caplog.at_level(logging.WARNING):
        model.encode_texts(["dog " * ((limit - 3) // 4), "a dog"])
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        model.encode_texts(["a dog", "z q " * limit])
        model.encode_texts(["z q " * limit])
    (told,) = caplog.records
    assert "truncates long texts" in told.getMessage()
    assert "z q z q" in told.getMessage()
    assert encoder.backbone.is_cut("一" * limit)
    if family in BYTES:
        assert encoder.backbone.is_cut("龍" * (limit // 2))
        assert not encoder.backbone.is_cut("龍" * (limit // 4))


def test_both_sides_are_one_network(model) -> None:
    assert model.image.encoder.backbone is model.text.encoder.backbone


def test_saved_loaded_moved(model, directory, pictures, tmp_path) -> None:
    given = list(pictures.values())[:3]
    images, texts = model.encode_images(given), model.encode_texts(TEXTS)
    copied = shutil.copytree(directory, tmp_path / "original")
    loaded = cmr_hub.load(copied, device="cpu")
    loaded.save_pretrained(tmp_path / "saved")
    shutil.move(tmp_path / "saved", tmp_path / "moved")
    shutil.rmtree(copied)
    del loaded
    again = cmr_hub.load(tmp_path / "moved", device="cpu")
    assert again.fingerprint == model.fingerprint
    assert again.image.encoder.backbone is not model.image.encoder.backbone
    np.testing.assert_array_equal(again.encode_images(given), images)
    np.testing.assert_array_equal(again.encode_texts(TEXTS), texts)
    assert again.image.encoder.backbone is again.text.encoder.backbone


def _tells_apart(rows: np.ndarray) -> None:
    """Else anything would be close to anything."""
    np.fill_diagonal(cosines := rows @ rows.T, 0)
    assert cosines.max() < 0.999
