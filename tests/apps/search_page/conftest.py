"""A small real model of coloured squares, its page on a free port, and a browser."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cmr_hub.apps.search_page import build_page, serve
from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.experiments.run import run_experiment
from cmr_hub.gallery.build import build_gallery
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.training.presets import PRESETS

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200)}
MARKUP = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `tick`"
"""Stands in a sentence of the gallery; the page must show it letter by letter."""


class MeanColour(NetworkEncoder):
    """The mean colour of a picture."""

    name: ClassVar[str] = "mean_colour"
    dim: ClassVar[int] = 3
    preprocessing: ClassVar[Preprocessing] = Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    @staticmethod
    def build() -> nn.Module:
        return nn.Conv2d(3, 3, 1, bias=False)

    @staticmethod
    def blocks(network: nn.Module) -> nn.Sequential:
        return nn.Sequential(network, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    @staticmethod
    def download() -> tuple[Mapping[str, Tensor], str]:
        raise AssertionError("tests never download")


def square(path: Path, colour: tuple[int, int, int], seed: int = 0) -> Path:
    """Saves a noisy square of a colour."""
    noise = np.random.default_rng(seed).integers(-25, 26, size=(40, 40, 3))
    pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def coloured_squares(folder: Path) -> PairDataset:
    """Twelve pairs of every colour: eight to train, four to test."""
    folder.mkdir()
    names = [f"{colour}-{i:02}" for colour in COLOURS for i in range(12)]
    colours = [name.split("-")[0] for name in names]
    sentences = [(f"a {colour} square", f"paper all {colour}") for colour in colours]
    sentences[names.index("green-11")] = (f"a green square {MARKUP}",)
    return PairDataset(
        name="squares",
        protocol="8/4",
        ids=tuple(names),
        labels=np.array([list(COLOURS).index(colour) for colour in colours], dtype=np.int64),
        classes=tuple(COLOURS),
        splits=np.array(["train" if i % 12 < 8 else "test" for i in range(len(names))]),
        images=tuple(
            square(folder / f"{name}.png", COLOURS[colour], seed)
            for seed, (name, colour) in enumerate(zip(names, colours, strict=True))
        ),
        sentences=tuple(sentences),
    )


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CrossModalModel]:
    """Trains a model of squares with its own gallery folder: `model.gallery` holds the test split.

    Its pictures lie in `data` of a new folder, so that a test may move them.
    """

    def make(preset: str = "acmr-paper") -> CrossModalModel:
        folder = tmp_path_factory.mktemp("squares")
        dataset, cache = coloured_squares(folder / "data"), FeatureCache(folder / "cache")
        model = run_experiment(
            dataset,
            replace(PRESETS[preset], epochs=30, learning_rate=1e-3),
            0,
            image_encoder=MeanColour({"weight": torch.eye(3).view(3, 3, 1, 1)}, "file"),
            text_encoder=BowEncoder(),
            cache=cache,
        ).model
        model.gallery = build_gallery(model, dataset.split("test"), cache=cache)
        return model

    return make


@pytest.fixture
def red_square(tmp_path: Path) -> Path:
    """A picture that is not in the gallery."""
    path = tmp_path / "my red.png"
    Image.new("RGB", (60, 30), COLOURS["red"]).save(path)
    return path


@pytest.fixture
def fake_picture(tmp_path: Path) -> Path:
    """A text that calls itself a picture."""
    path = tmp_path / "fake.jpg"
    path.write_text("this is a text\n" * 20)
    return path


@pytest.fixture
def my_zip(tmp_path) -> Path:
    """Nine squares and a text, in a zip."""
    path = tmp_path / "mine.zip"
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as file:
        for colour, value in COLOURS.items():
            for number in range(3):
                noise = np.array(value) + generator.integers(-20, 21, (30, 30, 3))
                picture = tmp_path / f"{colour}{number}.png"
                Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(picture)
                file.write(picture, f"holiday/{picture.name}")
        file.writestr("holiday/broken.jpg", "no picture")
    return path


@pytest.fixture(scope="session")
def model(make_model: Callable[..., CrossModalModel]) -> CrossModalModel:
    """The model of squares; tests leave it as it is."""
    return make_model()


@pytest.fixture(scope="session")
def second_model(make_model: Callable[..., CrossModalModel]) -> CrossModalModel:
    """One with another loss."""
    return make_model("infonce")


@pytest.fixture
def engine(model: CrossModalModel) -> Engine:
    """Of the model of squares and its own gallery."""
    return Engine(model, model.gallery)


@pytest.fixture(scope="session")
def photographs(model: CrossModalModel) -> Gallery:
    """The test split of the squares as somebody's photographs, taken on the days of June 2021."""
    items = [
        Item(
            id=row["id"],
            path=Path(row["path"]),
            label=row["label"],
            metadata={
                "taken": datetime(2021, 6, number, 14, 30),
                "camera": "Pixel 6" if number % 2 else "O'Hara 35",
                "rating": number % 3,
                "latitude": 48.2,
                "longitude": 16.4 + number / 100,
                "title": f"number {number}",
                "sha256": "0" * 64,
                "picture_hash": "0" * 16,
            },
        )
        for number, row in enumerate(model.gallery.items.to_pylist(), 1)
    ]
    gallery = Gallery.from_vectors(
        items_table(items),
        image_embeddings=model.gallery.vectors("image"),
        model_id=model.fingerprint,
    )
    gallery.model = model
    return gallery


@pytest.fixture
def own_engine(model: CrossModalModel, photographs: Gallery) -> Engine:
    """Of the photographs, on a page that only their owner can reach."""
    return Engine(model, photographs, is_private=True)


@pytest.fixture(scope="session")
def serve_page(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., str]]:
    """Serves a model's page until the end of the tests; gives its address."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as pages:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))

        def start(model: CrossModalModel, **options: object) -> str:
            page = build_page(model, **options)
            pages.callback(page.close)
            return serve(page, host="127.0.0.1", port=None, block=False)

        yield start


@pytest.fixture(scope="session")
def url(
    serve_page: Callable[..., str], model: CrossModalModel, second_model: CrossModalModel
) -> str:
    """The address of the page over the model of squares, beside another one."""
    return serve_page(model, name="squares", compare={"other": second_model})


@pytest.fixture
def visit(fresh_window) -> Callable[..., object]:
    """Opens an address in a fresh window."""

    def open_page(url: str, width: int = 1280, **options: object) -> object:
        window = fresh_window(width=width, **options)
        window.goto(url)
        window.wait_for_selector("#search-text textarea")
        return window

    return open_page
