import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cmr_hub.datasets import load_dataset
from cmr_hub.errors import UnknownNameError
from cmr_hub_sketches import CLASSES, draw, sentences
from cmr_hub_sketches.dataset import edition, read, record, split_sizes
from cmr_hub_sketches.painter import file_name, paint_missing, split_scene


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("sketches")
    read(path, "22/3/21")
    return path


def test_layout(root):
    dataset = load_dataset("sketches", root, "22/3/21")
    assert dataset.name == "sketches"
    assert dataset.protocol == "22/3/21"
    assert {name: len(dataset.split(name)) for name in dataset.split_names} == {
        "train": 22,
        "validation": 3,
        "test": 21,
    }
    assert dataset.classes == tuple(sorted(CLASSES))
    assert len(dataset.report) == 0
    test = dataset.split("test")
    assert test.ids[4] == "test/000004.jpg"
    scene = split_scene("test", 4)
    assert test.sentences[4] == sentences(scene)
    assert test.label_name(4) == scene.label == CLASSES[4]
    with Image.open(test.images[4]) as image:
        assert image.size == (320, 240)
        difference = np.asarray(image, dtype=int) - np.asarray(draw(scene), dtype=int)
    assert np.abs(difference).mean() < 4


def test_the_folder_reads_as_an_imagefolder_with_ground_truth(root):
    folder = root / edition()
    plain = load_dataset("folder", folder)
    assert len(plain) == 46
    assert len(plain.report) == 0
    lines = (folder / "train" / "metadata.jsonl").read_text().splitlines()
    told = json.loads(lines[5])
    assert told == record("train", 5)
    scene = split_scene("train", 5)
    assert told["seed"] == scene.seed
    main = told["truth"]["objects"][0]
    assert main["name"] == scene.label
    assert main["count"] == scene.main.count
    assert main["colours"] == sorted(scene.main.colours)
    assert told["truth"]["setting"] == scene.setting


def test_splits_share_no_seed():
    seeds = {
        split: {split_scene(split, number).seed for number in range(50)}
        for split in ("train", "validation", "test")
    }
    assert not seeds["train"] & seeds["test"]
    assert not seeds["train"] & seeds["validation"]
    assert not seeds["validation"] & seeds["test"]
    # Whatever the sizes: the remainder by three tells the split.
    assert {seed % 3 for seed in seeds["train"]} == {0}
    assert {seed % 3 for seed in seeds["test"]} == {2}


def test_a_larger_set_begins_with_the_smaller_one(root, tmp_path):
    small = read(tmp_path, "4/2")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    large = read(tmp_path, "7/2")
    assert large.split("train").ids[:4] == small.split("train").ids
    assert large.split("train").sentences[:4] == small.split("train").sentences
    for path, written in before.items():
        assert path.stat().st_mtime_ns == written
    assert len(read(tmp_path, "4/2")) == 6
    for number in range(4):
        name = f"train/{file_name(number)}"
        one, other = (base / edition() / name for base in (root, tmp_path))
        assert one.read_bytes() == other.read_bytes()


def test_processes_draw_the_same_and_only_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    shared.mkdir()
    paint_missing(alone, "test", 6)
    (shared / file_name(2)).write_bytes(b"kept")
    paint_missing(shared, "test", 45)
    assert sorted(path.name for path in shared.iterdir()) == [file_name(n) for n in range(45)]
    assert (shared / file_name(2)).read_bytes() == b"kept"
    for number in (0, 1, 3, 4, 5):
        assert (shared / file_name(number)).read_bytes() == (alone / file_name(number)).read_bytes()


def test_a_killed_run_leaves_whole_pictures_and_goes_on(tmp_path):
    code = f"from cmr_hub_sketches.dataset import read; read({str(tmp_path)!r}, '30/0')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.jpg"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    folder = tmp_path / edition() / "train"
    assert not (folder / "metadata.jsonl").exists()
    drawn = [path for path in folder.glob("*.jpg") if not path.name.startswith(".")]
    assert 3 <= len(drawn) < 30
    for path in drawn:
        with Image.open(path) as image:
            image.load()
    for path in folder.glob(".*.tmp"):
        os.utime(path, (0, 0))
    (folder / ".000029.jpg.00.tmp").touch()
    os.utime(folder / ".000029.jpg.00.tmp", (0, 0))
    dataset = load_dataset("sketches", tmp_path, "30/0")
    assert len(dataset) == 30
    assert len(dataset.report) == 0


def test_a_worker_that_fails_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    folder = tmp_path / "test"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "resvg_py.py").write_text("raise OSError('the disk is full')")
    with pytest.raises(OSError, match=r"cannot be drawn into .*the disk is full"):
        paint_missing(folder, "test", 60)


def test_the_default_place_is_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))
    (dataset,) = [load_dataset("sketches", protocol="0/1")]
    assert dataset.images == (tmp_path / "sketches" / edition() / "test" / "000000.jpg",)


def test_protocols():
    assert split_sizes("4000/1000") == {"train": 4000, "test": 1000}
    assert split_sizes("5/0/7") == {"train": 5, "test": 7}
    for protocol in ("", "5", "0/0", "-1/2", "1/2/3/4", "a/b", "folders", "1/99999999"):
        with pytest.raises(UnknownNameError, match=r"protocol of sketches.*4000/1000"):
            load_dataset("sketches", protocol=protocol)
