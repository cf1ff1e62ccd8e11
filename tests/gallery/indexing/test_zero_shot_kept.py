"""Zero-shot labels, which no folder tells, when the folder is indexed again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from pictures import picture

from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder

NAMES = ["flame", "sea", "grass"]
COLUMNS = ("zero_shot", "zero_shot_probability", "zero_shot_columns")


@pytest.fixture
def gallery(model, folder, tmp_path: Path) -> Gallery:
    """Of the folder, indexed and labelled."""
    made = Gallery.create(tmp_path / "gallery", model)
    index_folder(made, folder)
    made.label(NAMES)
    return made


def rows_of(gallery: Gallery, folder: Path) -> dict[str, dict[str, object]]:
    gallery.store.verify()
    return {
        Path(row["path"]).relative_to(folder).as_posix(): row for row in gallery.items.to_pylist()
    }


def labels(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in COLUMNS)


def test_rows_that_are_as_they_were_keep_them(gallery, folder, model, tmp_path) -> None:
    before = rows_of(gallery, folder)
    assert all(row["zero_shot"] in NAMES for row in before.values())
    summary = index_folder(gallery, folder)
    assert (summary.unchanged, summary.updated, summary.added) == (9, 0, 0)
    assert rows_of(gallery, folder) == before
    assert rows_of(Gallery.open(tmp_path / "gallery", model), folder) == before


def test_what_is_new_of_a_picture_and_of_what_is_said_of_it(gallery, folder) -> None:
    before = rows_of(gallery, folder)
    (folder / "plain0.png").rename(folder / "sub" / "moved.png")
    os.utime(folder / "plain2.png", (1, 1))
    shutil.copy(folder / "plain3.png", folder / "copy.png")
    (folder / "sub" / "told.txt").write_text("the sea")
    (folder / "sub" / "json.json").write_text('{"caption": "grass", "label": "red", "year": 2009}')
    picture(folder / "table" / "a.png", 99)
    picture(folder / "new.png", 98)
    summary = index_folder(gallery, folder)
    assert (summary.moved, summary.added, summary.updated, summary.unchanged) == (1, 2, 4, 4)
    after = rows_of(gallery, folder)
    assert labels(after["sub/moved.png"]) == labels(before["plain0.png"])
    for name in ("plain2.png", "sub/told.jpg", "sub/json.jpg", "table/b.png"):
        assert labels(after[name]) == labels(before[name])
    assert after["sub/told.jpg"]["sentences"] == ["the sea"]
    assert (after["sub/json.jpg"]["label"], after["sub/json.jpg"]["year"]) == ("red", 2009)
    # Other pixels, or a row of its own: nobody has named these yet.
    for name in ("new.png", "copy.png", "table/a.png"):
        assert labels(after[name]) == (None, None, None)
    assert index_folder(gallery, folder).unchanged == 11
    gallery.label(NAMES)
    assert all(row["zero_shot"] in NAMES for row in rows_of(gallery, folder).values())
    assert index_folder(gallery, folder).unchanged == 11


def test_the_column_label_where_it_was_asked_for(gallery, folder) -> None:
    """It is no more the folder's, but for pictures that come later."""
    gallery.label(NAMES, column="label")
    before = rows_of(gallery, folder)
    assert all(row["label"] in NAMES for row in before.values())
    assert index_folder(gallery, folder).unchanged == 9
    assert rows_of(gallery, folder) == before
    (folder / "sub" / "json.json").write_text('{"caption": "the sea", "label": "red"}')
    picture(folder / "late.png", 50)
    (folder / "late.json").write_text('{"caption": "grass", "label": "late"}')
    summary = index_folder(gallery, folder)
    assert (summary.updated, summary.added, summary.unchanged) == (1, 1, 8)
    after = rows_of(gallery, folder)
    assert after["sub/json.jpg"]["sentences"] == ["the sea"]
    assert after["sub/json.jpg"]["label"] == before["sub/json.jpg"]["label"]
    assert after["late.png"]["label"] == "late"


def test_a_source_does_not_speak_for_the_labels(gallery, folder) -> None:
    before = rows_of(gallery, folder)
    line = {"file_name": "c.png", "zero_shot": "mine", "zero_shot_columns": "x", "year": 2012}
    with (folder / "table" / "metadata.jsonl").open("a") as file:
        file.write("\n" + json.dumps(line))
    summary = index_folder(gallery, folder)
    assert (summary.updated, summary.unchanged) == (1, 8)
    after = rows_of(gallery, folder)
    assert labels(after["table/c.png"]) == labels(before["table/c.png"])
    assert after["table/c.png"]["year"] == 2012
    assert index_folder(gallery, folder).unchanged == 9
