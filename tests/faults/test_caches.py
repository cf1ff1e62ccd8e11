"""Damaged cache entries are detected by their checksums and computed again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import picture

from cmr_hub.apps.dashboard.raw_features import FeatureJobs
from cmr_hub.array_files import load_arrays, save_arrays
from cmr_hub.projections.jobs import MapInput, MapJobs
from cmr_hub.projections.methods import ProjectionOptions
from cmr_hub_sketches.dataset import edition, read
from scripts.default.views import PixelSettings, draw_pixels

pytestmark = pytest.mark.faults


def flip(path: Path, place: int = -1) -> None:
    """Flip one bit of a file, which changes neither its size nor its name."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def until_done(state: Callable[[], Any]) -> Any:
    """Wait for work in another process."""
    end = time.monotonic() + 120
    while True:
        found = state()
        rows = found.maps if hasattr(found, "maps") else found.rows
        if rows is not None or found.problem:
            return found
        assert time.monotonic() < end
        time.sleep(0.05)


def test_no_bit_of_kept_arrays_can_change_unnoticed(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "kept.safetensors"
    arrays = {"b": np.arange(6, dtype=np.float16).reshape(2, 3).T, "a": np.zeros((0, 2), np.uint8)}
    save_arrays(file, arrays)
    found = load_arrays(file)
    assert found is not None
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    whole = file.read_bytes()
    for place in range(len(whole)):
        flip(file, place)
        changed = load_arrays(file)
        assert changed is None or all(np.array_equal(changed[n], arrays[n]) for n in arrays)
        file.write_bytes(whole)
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert load_arrays(file) is None
    file.unlink()
    assert load_arrays(file) is None


@pytest.mark.parametrize("name", ["test/000002.jpg", "test/metadata.jsonl", "checksums", "gone"])
def test_sketches(tmp_path: Path, name: str) -> None:
    read(tmp_path, "0/4")
    folder = tmp_path / edition()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) == 5
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    checksums = tmp_path / f"{edition()}-test.sha256"
    if name == "checksums":
        flip(checksums, 3)
    elif name == "gone":
        checksums.unlink()
    else:
        flip(folder / name, 2000 if name.endswith("jpg") else 100)
    dataset = read(tmp_path, "0/4")
    assert len(dataset) == 4
    assert {path: path.read_bytes() for path in files} == {
        path: content for path, (content, _) in before.items()
    }
    again = [path for path in files if path.stat().st_mtime_ns != before[path][1]]
    if name.startswith("test/"):
        assert again == [folder / name]
    else:
        assert len(again) <= 1
    assert len(checksums.read_text().splitlines()) == 5


def test_more_sketches_than_before(tmp_path: Path) -> None:
    for count in (2, 5, 3):
        assert len(read(tmp_path, f"0/{count}")) == count
    lines = (tmp_path / f"{edition()}-test.sha256").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 6
    flip(tmp_path / edition() / "test" / "metadata.jsonl", 50)
    assert len(read(tmp_path, "0/3")) == 3
    assert len(read(tmp_path, "0/5")) == 5


def test_maps(tmp_path: Path) -> None:
    jobs = MapJobs(tmp_path)
    given = MapInput([np.random.default_rng(0).normal(size=(20, 5))])
    options = ProjectionOptions(method="pca")
    first = until_done(lambda: jobs.state(given, options))
    flip(tmp_path / f"{jobs.key(given, options)}.safetensors")
    assert jobs.state(given, options).maps is None
    again = until_done(lambda: jobs.state(given, options))
    np.testing.assert_array_equal(first.maps[0], again.maps[0])
    jobs.background.stop_all()


def test_raw_features(saved_model: Path, tmp_path: Path) -> None:
    jobs = FeatureJobs(tmp_path)
    first = until_done(lambda: jobs.state(saved_model, "facts"))
    assert first.problem == ""
    (file,) = tmp_path.glob("*.safetensors")
    flip(file)
    assert jobs.state(saved_model, "facts").rows is None
    again = until_done(lambda: jobs.state(saved_model, "facts"))
    np.testing.assert_array_equal(first.rows, again.rows)
    jobs.background.stop_all()


def test_views(tmp_path: Path) -> None:
    paths = [picture(tmp_path / "p" / f"{number}.png", number) for number in range(3)]
    settings = PixelSettings(views=2, size=32)
    first = draw_pixels(paths, settings, tmp_path / "views")
    files = sorted((tmp_path / "views").rglob("*.safetensors"))
    flip(files[1])
    assert torch.equal(draw_pixels(paths, settings, tmp_path / "views").pixels, first.pixels)
    assert all(load_arrays(file) is not None for file in files)


def test_a_cache_that_cannot_be_written_is_told_on_the_page(read_only: Path) -> None:
    jobs = MapJobs(read_only / "maps")
    given = MapInput([np.random.default_rng(0).normal(size=(20, 5))])
    problem = jobs.state(given, ProjectionOptions(method="pca")).problem
    assert f"cannot write {read_only / 'maps'}" in problem
    assert "choose a writable location" in problem
    assert "cannot write" in FeatureJobs(read_only / "raw").state("model", "facts").problem
