"""Shared fixtures, and the settings of threads, caches and hypothesis for all tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

# Set this before torch, OpenMP, BLAS or Numba start; pytest-xdist runs one process per core.
for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# Hundreds of processes import the same modules, which are compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Make the path absolute because tests change the working directory.
if os.environ.get("CMR_DATA_HOME"):
    os.environ["CMR_DATA_HOME"] = str(Path(os.environ["CMR_DATA_HOME"]).resolve())

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from torch import Tensor

    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.models.cross_modal import CrossModalModel


# By default, every run uses the same few examples. HYPOTHESIS_PROFILE=long uses many random
# examples, as many as CMR_EXAMPLES.
settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "long",
    settings.get_profile("ci"),
    derandomize=False,
    max_examples=int(os.environ.get("CMR_EXAMPLES", "2000")),
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.hookimpl(trylast=True)  # when those of the folders have marked their tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests that install packages unless CMR_TEST_INSTALL is set.

    Files with slow tests run first, so that no worker waits long for another at the end.
    """
    if not os.environ.get("CMR_TEST_INSTALL"):
        fetching = [item for item in items if item.get_closest_marker("install")]
        config.hook.pytest_deselected(items=fetching)
        items[:] = [item for item in items if item not in fetching]
    marks = ("install", "documents", "faults")
    slow = {item.path for item in items if any(map(item.get_closest_marker, marks))}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def data_home() -> Path:
    """Return the folder of datasets; skip the test if it is not set, fail if it does not exist."""
    value = os.environ.get("CMR_DATA_HOME")
    if not value:
        pytest.skip("needs real data: set CMR_DATA_HOME to the folder of datasets")
    home = Path(value)
    assert home.is_dir(), f"CMR_DATA_HOME is set to {home}, which is not a folder"
    return home


@pytest.fixture(scope="session")
def mobilenet_weights(data_home: Path) -> Path:
    """Return the file of MobileNetV2's ImageNet weights in `weights/`, next to the data folder."""
    path = data_home.parent / "weights" / "mobilenet_v2_imagenet.safetensors"
    assert path.is_file(), f"with CMR_DATA_HOME set the tests need {path}"
    return path


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """Check that each test leaves the number of OpenMP and MKL threads unchanged."""

    def threads() -> list[str]:
        return re.findall(
            r"max_threads\(\) : (\d+)", sys.modules["torch"].__config__.parallel_info()
        )

    before = threads() if "torch" in sys.modules else None
    yield
    assert before is None or threads() == before


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a temporary feature cache instead of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMR_CACHE_HOME", str(tmp_path_factory.mktemp("feature-cache")))
        yield


@pytest.fixture(scope="session")
def mobilenet_state() -> dict[str, Tensor]:
    """Return random weights of MobileNetV2 whose features distinguish pictures."""
    import torch

    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from torchvision.models import mobilenet_v2

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = mobilenet_v2()
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(std=0.1)
            norm.momentum = 1.0  # use the mean and variance of the next batch
        network.train()(torch.randn(8, 3, 1, 1) + torch.randn(8, 3, 97, 97) / 4)
        for norm in norms:
            norm.num_batches_tracked.zero_()
        return network.state_dict()


@pytest.fixture(scope="session")
def mobilenet_file(
    mobilenet_state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a weights file with `mobilenet_state`."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.safetensors"
    save_file(mobilenet_state, path)
    return path


@pytest.fixture(scope="session")
def build_sentence_model() -> Callable[..., Path]:
    """Write a tiny BERT with random weights in the format of sentence-transformers."""
    import torch

    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["dog", "cat", "runs", "the", "two", "men", ".", *letters]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *(f"##{x}" for x in letters)]

    def build(folder: Path, seed: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
        BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
        config = BertConfig(
            vocab_size=len(words),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=24,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            BertModel(config).save_pretrained(folder, safe_serialization=True)
        return folder

    return build


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a tiny CLIP with random weights; do not modify it."""
    from tiny_clip import write_clip

    return write_clip(tmp_path_factory.mktemp("pretrained") / "clip")


@pytest.fixture(scope="session")
def colour_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an ImageFolder of 3 classes, each with 8 small pictures to train and 4 to test."""
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        (root / split).mkdir()
        lines = []
        for label, colour in {
            "flame": (220, 40, 30),
            "grass": (40, 200, 50),
            "sea": (30, 60, 210),
        }.items():
            for number in range(count):
                noise = generator.normal(0, 12, (30, 40, 3))
                pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / f"{label}{number}.png")
                line = {
                    "file_name": f"{label}{number}.png",
                    "captions": [f"a picture of {label}", f"{label} seen {split} time {number}"],
                    "label": label,
                }
                lines.append(json.dumps(line))
        (root / split / "metadata.jsonl").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="session")
def mobilenet(mobilenet_state: dict[str, Tensor]) -> ImageEncoder:
    """Return the encoder with `mobilenet_state`."""
    from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder

    return MobileNetV2Encoder(mobilenet_state, "file")


@pytest.fixture(scope="session")
def _make_model(
    mobilenet: ImageEncoder, colour_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], CrossModalModel]:
    """Return a function that creates `model`; the features of the gallery are computed once."""
    from cmr_hub.encoders.feature_cache import FeatureCache

    cache = FeatureCache(tmp_path_factory.mktemp("features"))
    return lambda: _model(mobilenet, colour_folder, cache)


@pytest.fixture
def model(_make_model: Callable[[], CrossModalModel]) -> CrossModalModel:
    """Return a model with random projectors and a gallery of `colour_folder`'s test pictures."""
    return _make_model()


@pytest.fixture(scope="session")
def saved_model(
    _make_model: Callable[[], CrossModalModel], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the directory of the saved `model`; copy it before you modify it."""
    directory = tmp_path_factory.mktemp("saved") / "model"
    _make_model().save_pretrained(directory)
    return directory


def _model(encoder: ImageEncoder, folder: Path, cache: FeatureCache) -> CrossModalModel:
    import numpy as np
    import torch

    from cmr_hub.datasets import PairDataset, load_dataset
    from cmr_hub.encoders.texts import text_encoder
    from cmr_hub.gallery.build import build_gallery
    from cmr_hub.models.centroids import ClassCentroids
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.models.projector import Projector
    from cmr_hub.models.towers import ImageTower, TextTower

    dataset = load_dataset("folder", folder)
    assert isinstance(dataset, PairDataset)
    words = text_encoder("bow").fit(dataset.split("train").sentences)
    centroids = np.random.default_rng(0).normal(size=(2, 3, 6)).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = CrossModalModel(
            ImageTower(encoder, Projector(1280, (5,), 6, "tanh", (0.2, 0.5), "sphere", 5.0)),
            TextTower(words, Projector(words.dim, (7, 4), 6)),
            classes=dataset.classes,
            centroids=ClassCentroids(*centroids),
            training={"dataset": "folder", "protocol": "folders", "seed": 3},
            history=[{"epoch": 1, "loss": 0.5}],
        )
    made.gallery = build_gallery(made, dataset.split("test"), cache=cache)
    return made


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Return headless Chromium, as packaged by Debian."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs a browser: install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def fresh_window(browser) -> Iterator[Callable[..., object]]:
    """Return a function that opens a new window.

    At the end of the test, check that the console has no errors and that every request went to
    localhost.
    """
    errors: list[str] = []
    hosts: set[str | None] = set()
    with ExitStack() as windows:

        def fresh(*, width: int = 1280, script: str = "", **options: object):
            context = browser.new_context(viewport={"width": width, "height": 850}, **options)
            windows.callback(context.close)
            context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
            context.add_init_script(script)
            window = context.new_page()
            window.set_default_timeout(60_000)
            window.on("pageerror", lambda error: errors.append(str(error)))
            window.on(
                "console",
                lambda message: message.type == "error" and errors.append(message.text),
            )
            return window

        yield fresh
    assert errors == []
    assert hosts <= {"127.0.0.1", None}  # data: and blob: URLs have no host
