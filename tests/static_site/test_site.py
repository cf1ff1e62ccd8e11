"""The files of a site, without a browser."""

from __future__ import annotations

import json
import re
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from cmr_hub.errors import CMRError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.static_site.data import filters, ranges, shown_items, write_pictures, write_vectors
from cmr_hub.static_site.runtime import FILES
from cmr_hub.static_site.site import build_static_site


def test_the_folder_is_whole(site, gallery) -> None:
    listed = json.loads(re.search(r"FILES = (\[.*\]);", (site / "sw.js").read_text())[1])
    assert all((site / name).exists() for name in listed)
    assert {f"runtime/{name}" for name in FILES} <= set(listed)
    assert (site / "runtime" / "LICENSE").read_text().startswith("MIT License")
    assert (site / "README.md").read_text().startswith("---\ntitle: ")
    assert len(list((site / "pictures").iterdir())) == len(gallery)
    content = json.loads((site / "data" / "site.json").read_text())
    assert content["count"] == len(gallery)
    sizes = {name: (site / name).stat().st_size for name in content["bytes"]}
    assert {**sizes, "data/site.json": 0} == {**content["bytes"], "data/site.json": 0}


def test_the_policy_allows_only_the_site_itself(site) -> None:
    page = (site / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert allowed["connect-src"] == allowed["style-src"] == "'self'"
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", page) == []


def test_no_path_of_this_machine_is_published(site, squares_site, gallery) -> None:
    for folder in (site, squares_site):
        for path in folder.rglob("*.js*"):
            if path.parent.name == "runtime":  # ONNX Runtime has a home of its own in memory
                continue
            content = path.read_text()
            assert str(gallery.items["path"][0].as_py().rsplit("/", 2)[0]) not in content
            assert "/home/" not in content


def test_published_pictures_have_no_exif_data(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", (900, 600), "red").save(tmp_path / "photo.jpg", exif=exif)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "out").mkdir()
    names = [str(tmp_path / "photo.jpg"), None, str(tmp_path / "broken.jpg")]
    assert write_pictures(tmp_path / "out", names) == [True, False, False]
    written = Image.open(tmp_path / "out" / "0.webp")
    assert written.size == (480, 320)
    assert not written.getexif()
    assert b"taken at home" not in (tmp_path / "out" / "0.webp").read_bytes()


def test_vectors_are_stored_in_8_and_16_bits(gallery, tmp_path) -> None:
    rows = gallery.store.rows(gallery.items["id"].to_pylist())
    column, neutral = rows.vectors["image"], gallery.store.neutral
    assert write_vectors(tmp_path, "image", column, neutral) == {"count": 240, "rows": None}
    content = (tmp_path / "image.bin").read_bytes()
    scales, errors, mean, spread = np.frombuffer(content, "<f4", 4 * 240).reshape(4, 240)
    whole = np.frombuffer(content, np.int8, offset=16 * 240).reshape(240, -1)
    exact = np.fromfile(tmp_path / "image-exact.bin", "<f2").reshape(240, -1)
    assert np.abs(exact - column.matrix).max() < 1e-3
    lost = np.linalg.norm(column.matrix - scales[:, None] * whole, axis=1)
    assert errors == pytest.approx(lost, abs=1e-6)
    scores = column.matrix.astype(np.float64) @ column.matrix[0]
    z = (scores - mean) / spread
    assert z == pytest.approx(neutral.z(scores, column.matrix), abs=1e-4)


def test_coordinates_are_not_published() -> None:
    item = {"id": "a", "path": "/home/me/a.jpg", "label": None, "sentences": None,
            "latitude": 52.52, "longitude": 13.4, "camera": "X100"}  # fmt: skip
    (shown,) = shown_items([item], [True])
    assert shown["more"] == {"camera": "X100"}
    assert shown["name"] == "a.jpg"


def test_filters_are_columns_of_few_texts() -> None:
    items = [
        {"id": f"{n}", "path": None, "label": "ab"[n % 2], "taken_by": "xyz"[n % 3], "n": n,
         "note": f"note {n}", "one": "same"}
        for n in range(12)
    ]  # fmt: skip
    assert filters(items) == [
        {"column": "label", "title": "class", "values": ["a", "b"]},
        {"column": "taken_by", "title": "taken by", "values": ["x", "y", "z"]},
    ]


def test_ranges_are_columns_of_days_and_numbers() -> None:
    items = [
        {"id": "a", "path": None, "f_number": 2.0, "taken": datetime(2020, 1, 2, 3), "flash": True},
        {"id": "b", "path": None, "f_number": None, "taken": datetime(2019, 5, 6), "flash": False},
        {"id": "c", "path": None, "f_number": float("nan"), "taken": None, "flash": None},
        {"id": "d", "path": None, "f_number": 8, "taken": None, "flash": None, "same": 1},
    ]
    assert ranges([{"same": 1, **item} for item in items]) == [
        {"column": "taken", "title": "taken", "kind": "day", "min": "2019-05-06",
         "max": "2020-01-02", "rows": ["2020-01-02", "2019-05-06", None, None]},
        {"column": "f_number", "title": "f number", "kind": "number", "min": 2.0, "max": 8,
         "rows": [2.0, None, None, 8]},
    ]  # fmt: skip


def test_what_cannot_be_built_is_refused(gallery, tmp_path, site) -> None:
    with pytest.raises(QueryError, match="a gallery with items"):
        build_static_site(Gallery.create(None, gallery.model), tmp_path / "site")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CMRError, match="was not made by"):
        build_static_site(gallery, tmp_path)
