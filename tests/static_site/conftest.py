"""A site of the release `sketch`, one of made pictures, and windows on them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from static_sites import MARKUP, served

from cmr_hub.cache_home import default_cache_home
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item
from cmr_hub.loading import open_gallery
from cmr_hub.static_site import site as building
from cmr_hub.static_site.export import MANIFEST, Pairs
from cmr_hub.static_site.runtime import VERSION


@pytest.fixture(scope="session")
def gallery() -> Gallery:
    """The gallery of the release `sketch`."""
    return open_gallery("sketch", device="cpu", backend="torch")


@pytest.fixture(scope="session")
def few_pairs() -> Pairs:
    """Enough pictures to check an export on in a test."""
    whole = Pairs.included()
    return replace(whole, pictures=whole.pictures[:40], sentences=whole.sentences[:40])


@pytest.fixture(scope="session")
def onnxruntime_web(_own_cache: None) -> None:
    """Puts onnxruntime-web, which `make test` fetches, into the cache."""
    name = f"onnxruntime-web-{VERSION}"
    kept = Path(sys.prefix) / name
    if not kept.is_dir():
        pytest.skip("needs onnxruntime-web: `make test` fetches it from npm")
    shutil.copytree(kept, default_cache_home() / name, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def site(
    gallery: Gallery,
    few_pairs: Pairs,
    onnxruntime_web: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of the site of `gallery`."""
    out = tmp_path_factory.mktemp("sites") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pairs, "included", classmethod(lambda cls: few_pairs))
        building.build_static_site(gallery, out)
    return out


@pytest.fixture(scope="session")
def squares(gallery: Gallery, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """A gallery of six coloured squares, whose captions contain markup; one has no caption."""
    folder = tmp_path_factory.mktemp("squares")
    items = []
    for number, colour in enumerate(("red", "green", "blue", "white", "black", "yellow")):
        path = folder / f"{colour}.png"
        Image.new("RGB", (40 + number, 40), colour).save(path)
        sentences = (f"a {colour} square {MARKUP}",) if number else ()
        facts = {"n": number, "taken": datetime(2021, 6, number + 1, 12)} if number < 5 else {}
        items.append(Item(f"{MARKUP} {number}", path, sentences, "ab"[number % 2], facts))
    made = Gallery.create(None, gallery.model)
    made.add(items)
    return made


@pytest.fixture(scope="session")
def squares_site(site: Path, squares: Gallery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site of `squares`, with the same model."""

    def copied(model, out, *, int8=False):
        shutil.copytree(site / "model", out)
        return json.loads((out / MANIFEST).read_text())

    out = tmp_path_factory.mktemp("sites") / "squares"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "export_model", copied)
        building.build_static_site(squares, out, title=MARKUP)
    return out


@pytest.fixture(scope="session")
def url(site: Path) -> Iterator[str]:
    with served(site) as address:
        yield address


@pytest.fixture(scope="session")
def squares_url(squares_site: Path) -> Iterator[str]:
    with served(squares_site) as address:
        yield address


@pytest.fixture
def visit(fresh_window) -> Callable[..., object]:
    """Opens a site in a fresh window, and waits until it can answer."""

    def open_page(url: str, **options: object) -> object:
        window = fresh_window(**options)
        window.goto(url)
        window.wait_for_selector("#loading", state="hidden")
        return window

    return open_page


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Made pictures of several sizes and kinds."""
    folder = tmp_path_factory.mktemp("queries")
    generator = np.random.default_rng(0)
    made = []
    for number, (width, height) in enumerate([(90, 90), (131, 77), (301, 400), (640, 130)]):
        coarse = generator.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        for kind, options in (("png", {}), ("webp", {"lossless": True})):
            made.append(folder / f"{number}.{kind}")
            image.save(made[-1], **options)
    return made
