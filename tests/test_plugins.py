"""A loss, encoders and a dataset of another installed package, found by their names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import HOME
from PIL import Image

PACKAGE = '''
"""What somebody else has written; nothing of it is in cmr_hub."""

import string
from pathlib import Path

import numpy as np
from torch import Tensor

from cmr_hub.datasets import PairDataset
from cmr_hub.encoders import ImageEncoder, Preprocessing, TextEncoder
from cmr_hub.losses import Loss

COLOURS = ("blue", "green", "red")


class PullLoss(Loss):
    """The mean squared distance of own pairs, beyond a margin."""

    takes_unlabelled = True

    def __init__(self, margin: float = 0.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        return ((images - texts).square().sum(1) - self.margin).clamp_min(0).mean()


class MeanColourEncoder(ImageEncoder):
    name = "mean-colour"
    dim = 3
    preprocessing = Preprocessing(resize=16, crop=16)

    def forward(self, batch: Tensor) -> Tensor:
        return batch.mean((2, 3))


class LettersEncoder(TextEncoder):
    name = "letters"
    dim = 26

    def fit(self, documents):
        return self

    def transform(self, documents):
        texts = [" ".join(document).lower() for document in documents]
        rows = [[text.count(letter) for letter in string.ascii_lowercase] for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), 26)

    def unknown_words(self, text):
        return []

    def knows(self, document):
        return any(sentence.strip() for sentence in document)

    def state(self):
        return {}, {}

    @classmethod
    def from_state(cls, settings, arrays):
        return cls()


def read_colours(root: str | Path | None = None, protocol: str = "all") -> PairDataset:
    paths = sorted(Path(root or ".").glob("*.png"))
    names = [path.stem.partition("-")[0] for path in paths]
    return PairDataset(
        name="colours",
        protocol=protocol,
        ids=tuple(path.stem for path in paths),
        images=tuple(paths),
        sentences=tuple((f"all is {name}",) for name in names),
        labels=np.array([COLOURS.index(name) for name in names]),
        classes=COLOURS,
        splits=np.array(["test" if i % 4 == 0 else "train" for i in range(len(paths))]),
    )
'''
ENTRY_POINTS = """
[cmr_hub.losses]
pull = their_package:PullLoss

[cmr_hub.encoders]
mean-colour = their_package:MeanColourEncoder
letters = their_package:LettersEncoder

[cmr_hub.datasets]
colours = their_package:read_colours
"""
IN_PYTHON = """
import sys, json
import cmr_hub
from cmr_hub import encoders, losses
from cmr_hub.datasets import dataset_names

root, out = sys.argv[1:]
assert "pull" in losses.LOSSES and "colours" in dataset_names()
model = cmr_hub.train(
    "colours", root=root, preset="infonce", objective={"pull": {"margin": 0.1}, "infonce": {}},
    image_encoder="mean-colour", text_encoder="letters", epochs=2, cache_dir=out + "/cache",
)
model.save_pretrained(out + "/model")
again = cmr_hub.load(out + "/model")
assert again.fingerprint == model.fingerprint
figures = cmr_hub.evaluate(again, "colours", root=root, cache_dir=out + "/cache")
print(json.dumps({
    "model": repr(again),
    "settings": model.training["settings"]["objective"],
    "same": figures.report.map_avg == model.training["map_avg"],
    "of_class": losses.loss_name(losses.LOSSES["pull"]),
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as an installer leaves it: its files and its `.dist-info`."""
    site = tmp_path_factory.mktemp("site")
    (site / "their_package.py").write_text(PACKAGE)
    info = site / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for name, colour in {
        "red": (220, 30, 30),
        "green": (30, 200, 40),
        "blue": (30, 40, 220),
    }.items():
        for number in range(8):
            pixels = (np.array(colour) + generator.normal(0, 12, (20, 20, 3))).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}-{number}.png")
    return folder


def run(*command: object, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    paths = [str(HOME), *([] if site is None else [str(site)])]
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def trained(site: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that was trained with all that the package has."""
    out = tmp_path_factory.mktemp("trained")
    ran = run("-c", IN_PYTHON, pictures, out, site=site)
    assert ran.returncode == 0, ran.stderr
    (out / "told.json").write_text(ran.stdout.splitlines()[-1])
    return out


def test_from_python(trained: Path) -> None:
    assert json.loads((trained / "told.json").read_text()) == {
        "model": "CrossModalModel(dim=200, image='mean-colour', text='letters', classes=3)",
        "settings": {"pull": {"margin": 0.1}, "infonce": {}},
        "same": True,
        "of_class": "pull",
    }


@pytest.mark.parametrize("missing", ["mean-colour", "letters"])
def test_without_the_package_the_missing_name_is_told(trained, tmp_path, missing) -> None:
    """With neither of the encoders, and with one of them registered by hand."""
    # The module, and nothing that declares what is in it.
    (tmp_path / "their_package.py").write_text(PACKAGE)
    lines = ["import sys, cmr_hub, their_package"]
    if missing == "letters":
        lines += ["cmr_hub.encoders.register('mean-colour')(their_package.MeanColourEncoder)"]
    code = "\n".join([*lines, "cmr_hub.load(sys.argv[1])"])
    ran = run("-c", code, trained / "model", site=tmp_path)
    last = ran.stderr.splitlines()[-1]
    assert f"encoder '{missing}', which this model was saved with: install the package" in last
    assert "cmr_hub.errors.NotInstalledError" in last


def test_from_the_command_line(site: Path, pictures: Path, tmp_path: Path) -> None:
    command = ("-c", "import sys; from cmr_hub.cli import main; sys.argv[0] = 'cmr'; main()")
    told = run(*command, "data", "colours", "--root", pictures, site=site)
    assert "colours, protocol all: 24 items" in told.stdout, told.stderr
    names = ("--image-encoder", "mean-colour", "--text-encoder", "letters", "--objective", "pull")
    options = ("--preset", "infonce", "--epochs", 2, "--results", tmp_path / "runs.jsonl")
    where = ("--root", pictures, "--out", tmp_path / "model", "--cache", tmp_path / "cache")
    ran = run(*command, "train", "colours", *names, *options, *where, site=site)
    assert ran.returncode == 0, ran.stderr
    record = json.loads((tmp_path / "runs.jsonl").read_text())
    assert record["objective"] == "1 pull"
    assert record["image_encoder"] == "mean-colour"
    found = run(*command, "search", tmp_path / "model", "all is red", "-k", 2, site=site)
    assert found.returncode == 0, found.stderr
    assert "red-" in found.stdout
