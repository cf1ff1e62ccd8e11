"""Folders that move, empty themselves or are seen in part, and pictures that were removed."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pictures import picture

from cmr_hub.errors import DataNotFoundError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import watch
from cmr_hub.gallery.indexing.exclude import Excluded
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.indexing.summary import Summary
from cmr_hub.gallery.indexing.watch import keep_current


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Six pictures in three folders."""
    for number, name in enumerate(("a", "b", "x/c", "x/d", "x/y/e", "x/y/f")):
        picture(tmp_path / "base" / f"{name}.png", number)
    return tmp_path / "base"


@pytest.fixture
def gallery(model, base: Path, tmp_path: Path) -> Gallery:
    made = Gallery.create(tmp_path / "gallery", model)
    index_folder(made, base)
    return made


@pytest.fixture
def no_encoding(monkeypatch, mobilenet) -> None:
    """Fail if a picture is encoded."""

    def fail(self, pixels):
        assert not len(pixels), "a picture was encoded"
        return np.empty((0, self.dim), np.float32)

    monkeypatch.setattr(type(mobilenet), "encode_pixels", fail)


def ids(gallery: Gallery, base: Path) -> dict[str, str]:
    """Return the id by path below the folder."""
    rows = gallery.items.select(["id", "path"]).to_pylist()
    return {os.path.relpath(row["path"], base): row["id"] for row in rows}


def test_a_root_that_moved_keeps_its_rows(gallery, base, no_encoding) -> None:
    gallery.label(["flame", "sea"])
    before, labels = ids(gallery, base), gallery.items.column("zero_shot").to_pylist()
    moved = base.rename(base.with_name("moved"))
    summary = index_folder(gallery, moved)
    assert (summary.moved, summary.added, summary.removed) == (6, 0, 0)
    assert ids(gallery, moved) == before
    assert sorted(gallery.items.column("zero_shot").to_pylist()) == sorted(labels)
    assert index_folder(gallery, moved).unchanged == 6


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a.png", "renamed.png"),
        ("x/c.png", "c.png"),
        ("x", "other/z"),
        ("x/y", "y"),
    ],
)
def test_what_moves_inside_keeps_its_row(gallery, base, no_encoding, before, after) -> None:
    known = ids(gallery, base)
    (base / after).parent.mkdir(exist_ok=True)
    (base / before).rename(base / after)
    summary = index_folder(gallery, base)
    assert (summary.added, summary.removed, summary.kept) == (0, 0, {})
    assert sorted(ids(gallery, base).values()) == sorted(known.values())
    assert summary.moved == sum(name == before or name.startswith(f"{before}/") for name in known)


def test_a_root_that_moved_in_part_tells_what_is_left(gallery, base) -> None:
    moved = shutil.copytree(base, base.with_name("moved"))
    (moved / "a.png").unlink()
    shutil.rmtree(base)
    summary = index_folder(gallery, moved)
    assert (summary.moved, summary.kept) == (5, {str(base): 1})
    assert index_folder(gallery, base, prune=True).removed == 1
    assert len(gallery) == 5


def test_a_copied_root_has_rows_of_its_own_that_are_not_encoded(gallery, base, no_encoding) -> None:
    copied = shutil.copytree(base, base.with_name("copied"))
    summary = index_folder(gallery, copied)
    assert (summary.added, summary.moved) == (6, 0)
    assert len(gallery) == 12
    assert gallery.items.column("copy_of").null_count == 6


@pytest.mark.parametrize("gone", ["x/y", "x"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_without_pictures_keeps_its_rows_until_prune(gallery, base, gone, empty) -> None:
    count = len(list((base / gone).rglob("*.png")))
    shutil.rmtree(base / gone)
    if empty:
        (base / gone).mkdir()
    summary = index_folder(gallery, base)
    assert (summary.removed, summary.kept.total(), len(gallery)) == (0, count, 6)
    assert f"{count:,} pictures no longer exist but remain" in summary.text()
    assert str(base / gone) in summary.text()
    assert index_folder(gallery, base, prune=True).removed == count
    assert len(gallery) == 6 - count


def test_one_file_that_is_gone_is_removed(gallery, base) -> None:
    (base / "x" / "y" / "e.png").unlink()
    summary = index_folder(gallery, base)
    assert (summary.removed, summary.kept) == (1, {})


@pytest.mark.parametrize("exists", [True, False])
def test_a_root_without_pictures_keeps_its_rows_until_prune(gallery, base, exists) -> None:
    shutil.rmtree(base)
    if exists:
        base.mkdir()
    with pytest.raises(DataNotFoundError):
        index_folder(gallery, base)
    assert len(gallery) == 6
    assert index_folder(gallery, base, prune=True).removed == 6
    with pytest.raises(DataNotFoundError):
        index_folder(gallery, base, prune=True)


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["a.png"], "b x/c x/d x/y/e x/y/f"),
        (["y/"], "a b x/c x/d"),
        (["/x"], "a b"),
        (["x/*.png"], "a b x/y/e x/y/f"),
        (["x/**/e.png", "?.png/"], "a b x/c x/d x/y/f"),
        (["[a-c].png", "**/y"], "x/d"),
        (["c.png/", "*.jpg", "/y"], "a b x/c x/d x/y/e x/y/f"),
    ],
)
def test_what_is_excluded_has_no_row(gallery, base, patterns, left) -> None:
    index_folder(gallery, base, exclude=patterns)
    assert sorted(ids(gallery, base)) == [f"{name}.png" for name in left.split()]


def test_a_single_pattern_is_not_read_as_letters(gallery, base) -> None:
    with pytest.raises(QueryError, match="exclude must be a list"):
        index_folder(gallery, base, exclude="*.gif")
    with pytest.raises(QueryError, match="kinds must be a list"):
        gallery.duplicates("alike")


def test_hidden_pictures_are_told(gallery, base) -> None:
    shutil.copy(base / "a.png", base / "x" / ".c.png")
    (base / "x" / ".nothing").touch()
    told = index_folder(gallery, base).skipped
    assert told == [(str(base / "x" / ".c.png"), "hidden files are not read")]


def test_a_summary_names_the_first_of_many() -> None:
    tables = [(f"/{number}/metadata.json", "it is empty") for number in range(32)]
    text = Summary(told=tables, kept=Counter({f"/{n}": 1 for n in range(5)})).text()
    assert text.count("it is empty") == 20
    assert "and 12 more; --log FILE lists all" in text
    assert "their folders have no pictures: /0 (1), /1 (1), /2 (1) and 2 more. Is a drive" in text


def test_no_folder_is_read_that_is_excluded(tmp_path) -> None:
    excluded = Excluded(["raw/"], tmp_path)
    assert excluded(tmp_path / "raw", True)
    assert excluded(tmp_path / "raw" / "1.png")
    assert not excluded(tmp_path / "raw")


def test_links_are_followed_if_asked(model, base, tmp_path) -> None:
    other = tmp_path / "other"
    picture(other / "deep" / "l.png", 20)
    picture(tmp_path / "file.png", 21)
    (base / "linked").symlink_to(other)
    (base / "again").symlink_to(other / "deep")
    (base / "x" / "up").symlink_to(base)
    (base / "x" / "root").symlink_to(tmp_path)
    (base / "inside").symlink_to(base / "x")
    (base / "l.png").symlink_to(tmp_path / "file.png")
    gallery = Gallery.create(None, model)
    assert index_folder(gallery, base).added == 6
    summary = index_folder(gallery, base, follow_links=True)
    names = set(ids(gallery, base))
    # Each picture once, whatever the number of ways to it, and its link to a file.
    assert summary.added == len(names) - 6
    assert {"again/l.png", "l.png"} <= names
    assert len({os.path.realpath(base / name) for name in names}) == 8
    assert index_folder(gallery, base, follow_links=True).unchanged == len(names)


@pytest.mark.parametrize("change", ["none", "moved", "root", "copied"])
def test_what_was_removed_stays_out_until_restored(gallery, base, tmp_path, model, change) -> None:
    first = ids(gallery, base)["x/c.png"]
    assert gallery.remove([first]) == 1
    gallery = Gallery.open(tmp_path / "gallery", model)
    match change:
        case "moved":
            (base / "x" / "c.png").rename(base / "new.png")
        case "root":
            base = base.rename(base.with_name("moved"))
        case "copied":
            shutil.copy(base / "x" / "c.png", base / "copy.png")
    out = 2 if change == "copied" else 1
    for _ in range(2):
        summary = index_folder(gallery, base)
        assert (summary.left_out, summary.added, len(gallery)) == (out, 0, 5)
    assert f"{out} skipped, because they were removed" in summary.text()
    gallery.store.verify()
    assert index_folder(gallery, base, restore=True).added == out
    assert gallery.store.dismissed.num_rows == 0
    assert (index_folder(gallery, base).left_out, len(gallery)) == (0, 5 + out)


def test_a_copy_that_was_not_removed_stays(gallery, base) -> None:
    shutil.copy(base / "a.png", base / "copy.png")
    index_folder(gallery, base)
    assert gallery.remove([ids(gallery, base)["copy.png"]]) == 1
    os.utime(base / "a.png", (1, 1))
    assert index_folder(gallery, base).left_out == 1
    assert set(ids(gallery, base)) >= {"a.png", "x/c.png"}


def test_rows_of_an_earlier_version_are_completed_without_encoding(
    gallery, base, no_encoding
) -> None:
    old = gallery.items.drop_columns(["picture_hash", "copy_of"])
    before = gallery.items.to_pylist()
    vectors = gallery.vectors("image")
    early = Gallery.create(None, gallery.model)
    early.add_vectors(old, image_embeddings=vectors)
    assert early.duplicates(["same bytes", "same picture"]) == []
    assert index_folder(early, base).updated == 6
    assert sorted(early.items.to_pylist(), key=str) == sorted(before, key=str)
    assert index_folder(early, base).unchanged == 6


def test_a_gallery_is_kept_current(gallery, base, monkeypatch) -> None:
    monkeypatch.setattr(watch, "_QUIET", 100)
    monkeypatch.setattr(watch, "_POLL", 50)
    monkeypatch.setattr(watch, "_RETRY", 0.1)
    told: list[str] = []

    def update() -> None:
        index_folder(gallery, base)
        names = {Path(path).name for path in gallery.items.column("path").to_pylist()}
        if "back.png" in names:
            raise KeyboardInterrupt
        if "new.png" in names:
            shutil.rmtree(base)  # as if a drive is removed
        else:
            picture(base / "new.png", 40)

    def failed(error: Exception) -> None:
        told.append(str(error))
        picture(base / "back.png", 41)

    keep_current(base, update, failed)
    assert told == [f"{base} is not a folder: give a folder of pictures"]
    assert len(gallery) == 5  # with the four of its folders that are still missing
