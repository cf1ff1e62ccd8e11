"""What tables and files beside pictures say of them, as a gallery keeps it."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pictures import picture

from cmr_hub.datasets.report import ReadReport
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.annotations import annotations_of
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.where import Where


@pytest.fixture
def gallery(model) -> Gallery:
    return Gallery.create(None, model)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """A folder of four pictures."""
    for number in range(4):
        picture(tmp_path / "four" / f"{number}.jpg", number)
    return tmp_path / "four"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_numbers_in_a_csv_are_numbers(gallery, four, delimiter) -> None:
    cells = ["file_name,rating", "0.jpg,9", "1.jpg,10", "2.jpg,100", "3.jpg,"]
    (four / "metadata.csv").write_text("\n".join(cells).replace(",", delimiter))
    index_folder(gallery, four)
    for where, count in {
        "rating > 9": 2,
        "rating BETWEEN 5 AND 50": 2,
        "rating IS NULL": 1,
        "rating IN (9, 100)": 2,
    }.items():
        assert len(gallery.store.table(Where(where))) == count, where


def test_a_row_for_each_caption(gallery, four) -> None:
    rows = [f"0.jpg,caption {number}" for number in range(5)]
    (four / "metadata.csv").write_text("\n".join(["file_name,text", *rows]))
    summary = index_folder(gallery, four)
    assert summary.without_caption == 3
    captions = [row["sentences"] for row in gallery.items.to_pylist() if row["sentences"]]
    assert captions == [[f"caption {number}" for number in range(5)]]
    assert index_folder(gallery, four).unchanged == 4


@pytest.mark.parametrize("text", ["", "a;b\n1;2\n", "file_name,text\nother.jpg,x\n", "file_name\n"])
def test_a_stray_table_stops_nothing(gallery, four, text) -> None:
    (four / "sub").mkdir()
    (four / "sub" / "metadata.csv").write_text(text)
    for number in range(4):
        (four / f"broken{number}.jpg").write_text("broken")
    summary = index_folder(gallery, four)
    assert summary.added == len(gallery) == 4
    (line,) = [line for line in summary.text().splitlines() if "metadata.csv" in line]
    assert line.startswith(f"{four}/sub/metadata.csv: ")


def test_columns_that_the_gallery_has_itself(gallery, four) -> None:
    record = {
        **{"file_name": "0.jpg", "size": "large", "path": "p", "folder": "f", "id": 7},
        **{"sentences": 3, "modality": "m", "metadata_path": "own", "sha256": "s"},
        **{"tags": ["a", "b"], "box": {"x": 1, "y": [2, None]}, "modified": 5},
    }
    (four / "metadata.jsonl").write_text(json.dumps(record))
    summary = index_folder(gallery, four)
    (row,) = [row for row in gallery.items.to_pylist() if row["metadata_size"]]
    kept = {name: value for name, value in row.items() if name.startswith("metadata_")}
    assert kept == {
        **{"metadata_size": "large", "metadata_metadata_path": "p", "metadata_path": "own"},
        **{"metadata_folder": "f", "metadata_id": 7, "metadata_sentences": 3},
        **{"metadata_modality": "m", "metadata_sha256": "s", "metadata_modified": 5},
    }
    assert row["tags"] == '["a", "b"]'
    assert json.loads(row["box"]) == record["box"]
    assert len(gallery.store.table(Where("size > 0 AND metadata_size = 'large'"))) == 1
    told = summary.text()
    for name in ("size", "path", "folder", "id", "sentences", "modality", "sha256", "modified"):
        assert f"the column '{name}' is stored as metadata_" in told
    assert "'tags' are stored as JSON text" in told
    assert "'box' are stored as JSON text" in told
    assert index_folder(gallery, four).unchanged == 4


def test_a_column_is_told_of_once(gallery, four) -> None:
    rows = [{"file_name": f"{number}.jpg", "size": number} for number in range(4)]
    (four / "metadata.json").write_text(json.dumps(rows))
    assert len(index_folder(gallery, four).told) == 1
    assert sorted(gallery.items["metadata_size"].to_pylist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (datetime(2020, 1, 2, 3, 4), "2020-01-02T03:04:00"),
        (Decimal("1.50"), 1.5),
        ([datetime(2020, 1, 2), {"a": Decimal(1)}], '["2020-01-02T00:00:00", {"a": 1.0}]'),
        ([], "[]"),
        (True, True),
    ],
)
def test_values_of_other_kinds(value, kept) -> None:
    report = ReadReport()
    assert annotations_of({"own": value, "text": "x"}, "here", report).metadata == {"own": kept}
    assert "damaged record" not in report.counts


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("latitude", "N 48", {"metadata_latitude": "N 48"}),
        ("latitude", 48, {"latitude": 48}),
        ("width", True, {"metadata_width": True}),
        ("taken", "last summer", {"metadata_taken": "last summer"}),
        ("taken", 2020, {"metadata_taken": 2020}),
        ("taken", "2020-01-02", {"taken": datetime(2020, 1, 2)}),
        ("taken", "2020-01-02T03:04+01:00", {"taken": datetime(2020, 1, 2, 3, 4)}),
        ("taken", date(2020, 1, 2), {"taken": datetime(2020, 1, 2)}),
        ("year", "unknown", {"year": "unknown"}),
    ],
)
def test_columns_of_what_cameras_write(name, value, kept) -> None:
    report = ReadReport()
    assert annotations_of({name: value, "text": "x"}, "here", report).metadata == kept
    assert report.counts.get("changed column", 0) == (name not in kept)


@pytest.mark.parametrize("value", [b"bytes", [b"bytes"], 2**70, "\ud800", ["\ud800"]])
def test_values_that_cannot_be_stored_are_told(value) -> None:
    report = ReadReport()
    assert not annotations_of({"own": value, "text": "x"}, "here", report).metadata
    assert report.counts["damaged record"] == 1
