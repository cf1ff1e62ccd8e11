"""What a type checker and an editor see of the package, installed as `make install` does it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from documents import HOME

PROGRAM = """
import cmr_hub
from cmr_hub import datasets, encoders, losses, metrics
from cmr_hub.losses import Loss

model = cmr_hub.load()
reveal_type(model)
reveal_type(model.search("a dog", k=5, where="year > 2000"))
reveal_type(model.search("a dog")[0].score)
reveal_type(model.encode_images)
gallery = cmr_hub.Gallery.open("gallery", model)
reveal_type(gallery.search("a dog"))
reveal_type(gallery.more_like("rex", k=3))
reveal_type(cmr_hub.train("flickr8k", objective=losses.TripletLoss(margin=0.2)))
reveal_type(cmr_hub.evaluate(model, "flickr8k").report.map_avg)
reveal_type(datasets.PascalSentence())
reveal_type(datasets.WikipediaFeatures())
reveal_type(losses.TripletLoss)
reveal_type(losses.build_loss)
reveal_type(metrics.mean_average_precision)
reveal_type(cmr_hub.Projector)
reveal_type(cmr_hub.list_models())


@losses.register("mine")
class Mine(Loss):
    pass


reveal_type(Mine)
reveal_type(encoders.register("colours"))
model.search("a dog", wher="year > 2000")
cmr_hub.lod
losses.TripleLoss
cmr_hub.train("flickr8k", epoch=3)
"""
REVEALED = [
    "cmr_hub.models.cross_modal.CrossModalModel",
    "list[cmr_hub.hit.Hit]",
    "float",
    r"def \(images: .*, batch_size: int \| None =, on_error: .*'raise'.*'skip'.*'none'.*\) -> .*",
    "list[cmr_hub.hit.Hit]",
    "list[cmr_hub.hit.Hit]",
    "cmr_hub.models.cross_modal.CrossModalModel",
    "float",
    "cmr_hub.datasets.pairs.PairDataset",
    "cmr_hub.datasets.features.FeatureDataset",
    r"def \(margin: float =, mining: .*\) -> cmr_hub\.losses\.triplet\.TripletLoss",
    r"def \(.*, dim: int, n_classes: int, \*\*options: Any\) -> cmr_hub\.losses\.base\.Loss",
    r"def \(.*k: int \| None =, .*\) -> cmr_hub\.metrics\.retrieval\.MeanAveragePrecision",
    r"def \(in_dim: int, .*\) -> cmr_hub\.models\.projector\.Projector",
    "list[cmr_hub.models.catalogue.",
    r"def \(\) -> .*\.Mine",
    r"def .*",
]
ERRORS = [
    'Unexpected keyword argument "wher" for "search" of "CrossModalModel"',
    'Module has no attribute "lod"',
    'Module has no attribute "TripleLoss"',
    'Unexpected keyword argument "epoch" for "train"',
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the package, installed to be edited: its Python."""
    folder = tmp_path_factory.mktemp("typing")
    clone, wheels = folder / "clone", folder / "wheels"
    clone.mkdir()
    wheels.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HOME / name, clone)
    (clone / "cmr_hub").symlink_to(HOME / "cmr_hub")
    build = f"from setuptools.build_meta import build_editable as b; b({str(wheels)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=clone, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    ZipFile(wheel).extractall(packages)
    return folder / "venv" / "bin" / "python"


def test_reveal_type(installed: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    checker = [sys.executable, "-m", "mypy", "--python-executable", str(installed)]
    options = ["--ignore-missing-imports", "--cache-dir", str(tmp_path), "--config-file", ""]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [*checker, *options, str(program)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r'Revealed type is "(.*)"', ran.stdout)
    assert len(found) == len(REVEALED), ran.stdout + ran.stderr
    for seen, wanted in zip(found, REVEALED, strict=True):
        assert wanted in seen or re.fullmatch(wanted, seen), seen
    errors = re.findall(r"program\.py:\d+: error: (.*?)(?:  \[|;)", ran.stdout)
    assert errors == ERRORS, ran.stdout
