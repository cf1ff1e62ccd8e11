"""The library's own processor in other processes: the same rows as in this one."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from own_library import own_library
from PIL import Image
from tiny_models import FAMILIES
from tiny_open_clip import OPEN_CLIP

import cmr_hub
from cmr_hub.datasets.images import read_image
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import decode
from cmr_hub.gallery.indexing.index import index_folder


@pytest.mark.parametrize("family", [*FAMILIES, *OPEN_CLIP])
def test_rows_that_are_handed_over(family, tiny, pictures) -> None:
    encoder = cmr_hub.load(tiny(family), device="cpu").image.encoder
    shown = pickle.loads(pickle.dumps(encoder.preprocessing))
    given = [read_image(path) for path in pictures.values()]
    rows = np.stack([shown.pixels(picture) for picture in given])
    assert rows.shape == (len(given), *encoder.preprocessing.shape)
    assert rows.dtype == encoder.preprocessing.dtype
    np.testing.assert_array_equal(encoder.encode_pixels(rows), encoder.encode(given))


@pytest.mark.parametrize("family", ["siglip2-naflex", "open_clip-vit"])
def test_a_folder(family, tiny, tmp_path, monkeypatch) -> None:
    # This process would have prepared them all before another one has started.
    monkeypatch.setattr(decode.Future, "done", lambda future: True)
    here: list[int] = []
    prepare = decode.decode

    def counted(places, preprocessing):
        here.append(len(places))
        return prepare(places, preprocessing)

    monkeypatch.setattr(decode, "decode", counted)
    folder = tmp_path / "pictures"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(80):
        pixels = generator.integers(0, 256, (20 + number % 7, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    model = cmr_hub.load(tiny(family), device="cpu")
    gallery = Gallery.create(tmp_path / "gallery", model)
    assert index_folder(gallery, folder, workers=1).added == 80
    assert sum(here) == 0
    paths = [Path(row["path"]) for row in gallery.items.to_pylist()]
    assert len(set(paths)) == 80
    np.testing.assert_allclose(gallery.vectors("image"), model.encode_images(paths), atol=1e-6)


@pytest.mark.parametrize("family", ["clip", "siglip2-naflex", "open_clip-mobileclip"])
def test_large_photographs_are_decoded_smaller(family, tiny, tmp_path) -> None:
    """From eight times the input on a JPEG is read at a half: nearly the same vector, sooner."""
    model, own = cmr_hub.load(tiny(family), device="cpu"), own_library(family, tiny(family))
    side = model.image.encoder.preprocessing.enough // 4
    small = np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path = tmp_path / "photograph.jpg"
    photograph = Image.fromarray(small).resize((10 * side, 8 * side), Image.Resampling.BICUBIC)
    photograph.save(path, quality=95)
    assert read_image(path, enough=4 * side).size == (5 * side, 4 * side)
    (found,) = model.encode_images([path])
    (expected,) = own.images([path])
    assert found @ expected > 0.999
    half = read_image(path, enough=4 * side)
    np.testing.assert_array_equal(model.encode_images([half])[0], found)
    # One pixel less, and it is read whole.
    whole = tmp_path / "whole.jpg"
    photograph.resize((10 * side, 8 * side - 1)).save(whole, quality=95)
    (expected,) = own.images([whole])
    np.testing.assert_allclose(model.encode_images([whole])[0], expected, atol=1e-5)
