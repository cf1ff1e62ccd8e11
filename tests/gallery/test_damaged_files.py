"""Whatever lies in a gallery's directory: a value or a CMRError; see `damage.attack`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from damage import Target, as_json, attack, files_of, read_whole
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from cmr_hub.apps.dashboard.raw_features import _read
from cmr_hub.checksums import sha256_of_file
from cmr_hub.gallery import local
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.manifest import FILE_NAME, _digest
from cmr_hub.gallery.space import space_of
from cmr_hub.gallery.tensors import map_tensors, write_tensors

ROWS = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 8)))[0]
ROWS = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).astype(np.float32)


def of_gallery(*, graph: bool) -> Target:
    """A gallery of two segments and removed rows, with a graph or without."""
    with TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        if graph:
            patch.setattr(local, "EXACT_LIMIT", 10)
            patch.setattr(local, "TAIL_LIMIT", 1)
        folder = Path(temporary) / "g"
        gallery = Gallery(local.LocalStore.create(folder, "m"))
        for first, last in ((0, 30), (30, 40)):
            items = [
                Item(f"i{n}", Path(f"/pictures/{n}.jpg"), (f"word {n}",), "dog", {"year": n})
                for n in range(first, last)
            ]
            part = ROWS[first:last]
            gallery.add_vectors(items_table(items), image_embeddings=part, text_embeddings=part)
            gallery.store.optimise()
        gallery.remove(["i3", "i35"])
        files = {name: data for name, data in files_of(folder).items() if not name.startswith(".")}

    def read(folder: Path) -> None:
        found = Gallery.open(folder)
        if found.dim is None:
            return
        for target in found.targets:
            query = np.ones(found.dim)
            hits = found.search(query, 5, target, where="year >= 5")
            assert all(hit.path is None or hit.path.is_absolute() for hit in hits)
            found.search(query, 3, target)
        space_of(found.store)
        found.store.verify()

    def seal(folder: Path) -> None:
        content = json.loads((folder / FILE_NAME).read_bytes())
        for name in content["files"]:
            path = folder / name
            content["files"][name] = {
                "sha256": sha256_of_file(path),
                "bytes": path.stat().st_size,
            }
        content.pop("sha256", None)
        content["sha256"] = _digest(content)
        (folder / FILE_NAME).write_bytes(as_json(content))

    changes = {FILE_NAME: (json.loads(files[FILE_NAME]), as_json)}
    for name, data in files.items():
        if name.endswith(".safetensors"):
            length = int.from_bytes(data[:8], "little")
            changes[name] = (json.loads(data[8 : 8 + length]), with_rest(data[8 + length :]))
    return Target(files, read, changes, seal)


def with_rest(rest: bytes) -> Callable[[object], bytes]:
    def write(header: object) -> bytes:
        text = as_json(header)
        return len(text).to_bytes(8, "little") + text + rest

    return write


def of_tensors() -> Target:
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "x"
        write_tensors(path, {"rows": [np.arange(3)], "image": [ROWS[:3]]})
        data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    changes = {"x": (json.loads(data[8 : 8 + length]), with_rest(data[8 + length :]))}
    return Target({"x": data}, lambda folder: map_tensors(folder / "x"), changes)


def of_raw_features() -> Target:
    def read(folder: Path) -> None:
        found = _read(folder / "f.safetensors")
        assert found is None or (found.ndim == 2 and np.isfinite(found).all())

    return Target({"f.safetensors": save({"images": ROWS[:4].copy()})}, read)


TARGETS: dict[str, Callable[[], Target]] = {
    "gallery": lambda: of_gallery(graph=False),
    "gallery with a graph": lambda: of_gallery(graph=True),
    "tensors": of_tensors,
    "raw features": of_raw_features,
}


@cache
def target(name: str) -> Target:
    return TARGETS[name]()


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_read(name: str) -> None:
    read_whole(target(name))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_any_bytes(name: str, data: st.DataObject) -> None:
    attack(target(name), data)
