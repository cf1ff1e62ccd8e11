"""Directories of strangers: whatever stands in the place of any file is refused, soon, in one line.

Every file of every kind of directory is replaced by each thing that is no honest file. A reader
that opens it first would wait for ever, or read until the memory is full.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from damage import contract
from run_records import run_record
from safetensors.numpy import save

from cmr_hub import load
from cmr_hub.apps.dashboard.sources import Sources
from cmr_hub.errors import CMRError
from cmr_hub.experiments.artifacts import CURVES, EMBEDDINGS
from cmr_hub.experiments.changes import _read as read_report
from cmr_hub.experiments.curves import model_curves, running_curves, stored_curves
from cmr_hub.experiments.plan import PLANS, RUNS, Plan, saved_plans
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.stored_space import stored_spaces
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.training.snapshots import read_snapshots, write_snapshots

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")


def pipe(path: Path, _secret: Path) -> None:
    os.mkfifo(path)


def device(path: Path, _secret: Path) -> None:
    path.symlink_to("/dev/zero")


def holes(path: Path, _secret: Path) -> None:
    path.touch()
    try:
        os.truncate(path, 8 * 2**40)
    except OSError:  # the disk knows no such file
        os.truncate(path, 2**40 - 1)


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def hard_link(path: Path, secret: Path) -> None:
    os.link(secret, path)


def folder(path: Path, _secret: Path) -> None:
    path.mkdir()


FILES = (pipe, device, holes, link, hard_link)
KINDS = (*FILES, folder)


def refused_everywhere(
    good: Path,
    read: Callable[[Path], object],
    work: Path,
    kinds: Sequence[Callable[[Path, Path], None]] = KINDS,
    skip: Sequence[str] = (),
) -> None:
    """Each file of a good directory in turn becomes each of the kinds, and is not read then."""
    read(shutil.copytree(good, work / "good"))
    names = [path.relative_to(good) for path in good.rglob("*") if path.is_file()]
    names = [name for name in names if name.name not in skip]
    assert names
    for name in names:
        # What a link leads to is the file itself: only where it lies is wrong.
        secret = work / "secret"
        shutil.copyfile(good / name, secret)
        for number, kind in enumerate(kinds):
            directory = shutil.copytree(good, work / f"{number}")
            (directory / name).unlink()
            kind(directory / name, secret)
            said = ""
            with contract(10, 200 * 2**20):
                try:
                    read(directory)
                except CMRError as error:
                    said = str(error)
            assert said, (name, kind)
            assert "\n" not in said
            assert len(said) < 1000
            shutil.rmtree(directory)


def test_a_gallery(gallery_of_vectors: Path, tmp_path: Path) -> None:
    def read(directory: Path) -> None:
        opened = Gallery.open(directory)
        opened.search(np.ones(4), 2)
        opened.store.verify()

    refused_everywhere(gallery_of_vectors, read, tmp_path)


@pytest.fixture
def gallery_of_vectors(tmp_path: Path) -> Path:
    from cmr_hub.gallery.items import Item, items_table

    rows = np.eye(4, dtype=np.float32)
    opened = Gallery.from_vectors(
        items_table(Item(f"i{n}", sentences=("a dog",)) for n in range(4)),
        image_embeddings=rows,
        model_id="m",
    )
    opened.save(tmp_path / "gallery")
    return tmp_path / "gallery"


def test_a_model(saved_model: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    load(saved_model).save_pretrained(whole, pictures=True)
    pictures = sorted((whole / "pictures").rglob("*.png"))
    for path in pictures[1:]:  # one of them stands for all
        assert path.is_file()
    refused_everywhere(
        whole, load, tmp_path, skip=("README.md", *(path.name for path in pictures[1:]))
    )


def test_an_encoder(clip: Path, tmp_path: Path) -> None:
    # A folder of a file's name is no matter: an encoder does without most of its files.
    refused_everywhere(clip, load, tmp_path, FILES)


def test_a_sentence_encoder(build_sentence_model: Callable[..., Path], tmp_path: Path) -> None:
    from cmr_hub.encoders.texts import text_encoder

    good = build_sentence_model(tmp_path / "sentences")

    def read(directory: Path) -> None:
        text_encoder("sentence", source=str(directory)).fit([["a dog"]]).transform([["a dog"]])

    refused_everywhere(good, read, tmp_path, FILES)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    home = tmp_path / "results"
    for name in (CURVES, EMBEDDINGS, PLANS):
        (home / name).mkdir(parents=True)
    (home / RUNS).write_text("{}\n")
    (home / CURVES / "ab.json").write_text('{"final": {"loss": [1.0]}}')
    (home / "t.csv").write_text("row,n_seeds,x_mean\na,1,0.5\n")
    Plan(name="p", title="p", tables=()).save(home)
    facts = dict.fromkeys(
        ("dataset", "protocol", "preset", "image_encoder", "text_encoder", "cell"), "x"
    )
    facts |= {"seed": "0", "kept": "1", "ids": '["a"]', "classes": '["a"]'}
    rows = np.ones((1, 2), np.float16)
    arrays = {"images": rows, "texts": rows, "labels": np.zeros(1, np.int16)}
    (home / EMBEDDINGS / "e.safetensors").write_bytes(save(arrays, facts))
    return home


def test_a_folder_of_results(results: Path, tmp_path: Path) -> None:
    def read(home: Path) -> None:
        """What cannot be read is told, or raised: here both are the same."""
        assert read_runs(home / RUNS)[1]
        assert stored_curves(home, run_record(cell="ab"))
        spaces, problems = stored_spaces(home)
        if (
            problems
            or not spaces
            or not saved_plans(home)
            or not read_report(home / "t.csv", "x_mean")
        ):
            raise CMRError("; ".join(problems) or "left out")

    # A link, or a file with another name, in a folder of one's own results is no matter: of these
    # figures are read and nothing else.
    names = {RUNS, "t.csv", "p.json"}
    for kind in KINDS:
        for path in [path for path in results.rglob("*") if path.is_file()]:
            if kind in (link, hard_link) and path.name in names:
                continue
            home = shutil.copytree(results, tmp_path / "copy")
            own = home / path.relative_to(results)
            own.unlink()
            shutil.copyfile(path, tmp_path / "secret")
            kind(own, tmp_path / "secret")
            with contract(10, 200 * 2**20), pytest.raises(CMRError):
                read(home)
            shutil.rmtree(home)


@pytest.mark.parametrize("kind", [pipe, device, holes, folder])
def test_a_training(kind: Callable[[Path, Path], None], tmp_path: Path) -> None:
    for name, read in (
        ("history.json", lambda path: model_curves(path.parent)),
        ("snapshots.safetensors", read_snapshots),
    ):
        kind(tmp_path / name, tmp_path)
        with contract(), pytest.raises(CMRError):
            read(tmp_path / name)
    kind(tmp_path / "select.safetensors", tmp_path)
    with contract():
        assert running_curves(tmp_path) == []  # the next checkpoint replaces it soon


def test_what_is_no_model_is_not_taken_for_one(tmp_path: Path) -> None:
    """The dashboard looks into every folder it is told of."""
    (tmp_path / "one").mkdir()
    os.mkfifo(tmp_path / "one" / "config.json")
    with contract():
        found = Sources(tmp_path, (tmp_path,)).model_directories()
        assert str(tmp_path / "one") not in found
        with pytest.raises(CMRError):
            load(tmp_path / "one")


def test_a_note_of_a_writer_that_is_a_link(gallery_of_vectors: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    opened = Gallery.open(gallery_of_vectors)
    for name in (".writer", ".lock"):
        (gallery_of_vectors / name).unlink(missing_ok=True)
        (gallery_of_vectors / name).symlink_to(precious)
        with pytest.raises(CMRError, match=f"{name} is a link; remove it"):
            opened.remove(["i0"])
        (gallery_of_vectors / name).unlink()
    assert precious.read_text() == "mine"
    assert opened.remove(["i0"]) == 1


def test_snapshots_are_read(tmp_path: Path) -> None:
    rows = np.ones((2, 3), np.float32)
    write_snapshots(tmp_path / "s", ["a", "b"], {0: (rows, rows)})
    assert read_snapshots(tmp_path / "s")[0] == ("a", "b")
