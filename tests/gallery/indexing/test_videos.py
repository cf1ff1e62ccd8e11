"""Videos in a folder become frames, and again after the folder has changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from films import BLUE, GREEN, RED, film, sound
from pictures import picture

from cmr_hub.datasets.videos import Video
from cmr_hub.errors import ImageError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.items import Item


@pytest.fixture
def gallery(model, tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "gallery", model)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "phone"
    (base / "trip").mkdir(parents=True)
    film(base / "trip" / "movie.mp4", tags={"creation_time": "2021-06-01T12:30:00Z"})
    film(base / "still", [GREEN], form="matroska")
    picture(base / "a.png", 0)
    return base


def by_path(gallery: Gallery, base: Path) -> dict[str, dict[str, object]]:
    rows = gallery.items.to_pylist()
    return {Path(row["path"]).relative_to(base).as_posix(): row for row in rows}


@pytest.fixture
def no_decoding(monkeypatch):
    """Any look into a video is an error from now on."""

    def start() -> None:
        def refuse(self: Video, path: Path) -> None:
            raise AssertionError(f"{path} was opened")

        monkeypatch.setattr(Video, "__init__", refuse)

    return start


def test_frames_are_items_with_columns(gallery, base, model) -> None:
    summary = index_folder(gallery, base)
    assert (summary.pictures, summary.added, summary.unreadable) == (5, 5, {})
    rows = by_path(gallery, base)
    frames = [f"trip/movie.mp4#t={at}" for at in (0, 1, 2)]
    assert set(rows) == {*frames, "still#t=0", "a.png"}
    for at, name in enumerate(frames):
        row = rows[name]
        assert (row["video"], row["time"], row["scenes"]) == ("trip/movie.mp4", at, 3)
        assert (row["folder"], row["year"], row["width"], row["height"]) == ("trip", 2021, 64, 48)
        assert row["size"] == (base / "trip" / "movie.mp4").stat().st_size
    assert rows["a.png"]["video"] is None
    paths = [Path(row["path"]) for row in gallery.items.to_pylist()]
    np.testing.assert_allclose(gallery.vectors("image"), model.encode_images(paths), atol=1e-6)


def test_without_videos_there_are_no_such_columns(gallery, base) -> None:
    shutil.rmtree(base / "trip")
    (base / "still").unlink()
    index_folder(gallery, base)
    assert not {"video", "time", "scenes"} & set(gallery.items.column_names)


def test_what_did_not_change_is_not_decoded(gallery, base, no_decoding) -> None:
    index_folder(gallery, base)
    ids = set(gallery.items["id"].to_pylist())
    no_decoding()
    assert index_folder(gallery, base).unchanged == 5
    os.utime(base / "trip" / "movie.mp4", (10, 10))
    summary = index_folder(gallery, base)
    assert (summary.unchanged, summary.updated) == (2, 3)
    (base / "trip" / "movie.mp4").rename(base / "still.mp4")
    summary = index_folder(gallery, base)
    assert (summary.moved, summary.unchanged, summary.removed) == (3, 2, 0)
    assert by_path(gallery, base)["still.mp4#t=2"]["video"] == "still.mp4"
    moved = base.with_name("elsewhere")
    base.rename(moved)
    assert index_folder(gallery, moved).moved == 5
    assert set(gallery.items["id"].to_pylist()) == ids


def test_changed_and_removed_videos(gallery, base) -> None:
    index_folder(gallery, base)
    film(base / "trip" / "movie.mp4", [BLUE, RED])
    summary = index_folder(gallery, base)
    assert (summary.unchanged, summary.removed) == (2, 1)
    assert sum(name.startswith("trip/") for name in by_path(gallery, base)) == 2
    (base / "still").unlink()
    assert index_folder(gallery, base).removed == 1
    (base / "trip" / "movie.mp4").unlink()
    summary = index_folder(gallery, base)
    assert (summary.removed, summary.kept.total()) == (0, 2)
    assert index_folder(gallery, base, prune=True).removed == 2
    assert set(by_path(gallery, base)) == {"a.png"}


def test_excluded_videos(gallery, base) -> None:
    index_folder(gallery, base)
    assert index_folder(gallery, base, exclude=["*.mp4"]).removed == 3
    assert index_folder(gallery, base, exclude=["trip/"]).pictures == 2


def test_removed_frames_stay_away_until_restored(gallery, base, no_decoding, monkeypatch) -> None:
    index_folder(gallery, base)
    assert gallery.remove(where="video = 'trip/movie.mp4' AND time = 1") == 1
    with monkeypatch.context() as context:
        context.setattr(Video, "__init__", None)
        summary = index_folder(gallery, base)
    assert (summary.unchanged, summary.left_out, len(gallery)) == (4, 1, 4)
    assert gallery.remove(where="video = 'trip/movie.mp4'") == 2
    with monkeypatch.context() as context:
        context.setattr(Video, "__init__", None)
        summary = index_folder(gallery, base)
    assert (summary.left_out, len(gallery)) == (3, 2)
    assert index_folder(gallery, base, restore=True).added == 3


def test_an_interrupted_run_goes_on(gallery, base) -> None:
    index_folder(gallery, base)
    gallery.store.remove([by_path(gallery, base)["trip/movie.mp4#t=1"]["id"]])
    summary = index_folder(gallery, base)
    assert (summary.added, summary.unchanged) == (1, 4)


def test_what_is_passed_over_is_told(gallery, base, tmp_path, monkeypatch) -> None:
    (base / "broken.mp4").write_bytes((base / "trip" / "movie.mp4").read_bytes()[:900])
    (base / "list.mp4").write_text("#EXTM3U\nfile:///etc/passwd\n")
    (base / "empty.mov").write_bytes(b"")
    sound(base / "song.m4a")
    log = tmp_path / "log.txt"
    text = index_folder(gallery, base, log=log).text()
    assert len(gallery) == 5
    assert "skipped: 1 .m4a: it is a video or a sound without pictures" in text
    assert "skipped: 1 .mov: it is not a video that can be read" in text
    lines = dict(line.split("\t") for line in log.read_text().splitlines())
    names = {Path(path).name for path in lines}
    assert names == {"broken.mp4", "list.mp4", "empty.mov", "song.m4a"}

    def needs(self: Video, path: Path) -> None:
        raise ImageError('a video needs an extra: pip install "cmr-hub[video]"')

    monkeypatch.setattr(Video, "__init__", needs)
    film(base / "new.mp4", [RED])
    text = index_folder(gallery, base).text()
    assert 'skipped: 3 .mp4: a video needs an extra: pip install "cmr-hub[video]"' not in text
    assert 'skipped: 2 .mp4: a video needs an extra: pip install "cmr-hub[video]"' in text
    assert len(gallery) == 5


def test_a_table_and_a_text_say_of_all_frames(gallery, base) -> None:
    row = {"file_name": "movie.mp4", "text": "a trip", "label": "holiday", "time": "noon"}
    (base / "trip" / "metadata.jsonl").write_text(json.dumps(row))
    (base / "still.txt").write_text("a meadow")
    summary = index_folder(gallery, base)
    rows = by_path(gallery, base)
    for at in (0, 1, 2):
        row = rows[f"trip/movie.mp4#t={at}"]
        assert (row["sentences"], row["label"], row["time"]) == (["a trip"], "holiday", at)
        assert row["metadata_time"] == "noon"
    assert "stored as metadata_time" in summary.text()
    assert rows["still#t=0"]["sentences"] == ["a meadow"]
    assert index_folder(gallery, base).unchanged == 5


def test_a_real_file_of_such_a_name(gallery, base) -> None:
    picture(base / "x#t=3", 5, format="png")
    film(base / "y#t=1.mp4", [RED])
    index_folder(gallery, base)
    rows = by_path(gallery, base)
    assert rows["x#t=3"]["video"] is None
    assert rows["y#t=1.mp4#t=0"]["video"] == "y#t=1.mp4"
    assert index_folder(gallery, base).unchanged == 7


def test_one_hit_a_video(gallery, base) -> None:
    index_folder(gallery, base)
    query = gallery.vectors("image")[0]
    hits = gallery.search(query)
    assert sorted((hit.metadata["video"] or "", hit.duplicates) for hit in hits) == [
        ("", 0),
        ("still", 0),
        ("trip/movie.mp4", 2),
    ]
    every = gallery.search(query, distinct=False, where="video = 'trip/movie.mp4' AND time >= 1")
    assert sorted(hit.metadata["time"] for hit in every) == [1, 2]
    first = next(hit for hit in hits if hit.duplicates)
    near = gallery.more_like(first.id)
    assert {hit.metadata["video"] for hit in near} == {None, "still"}
    assert len(gallery.more_like(first.id, distinct=False)) == 4


def test_copies_of_a_video_are_one_group(gallery, base) -> None:
    shutil.copy(base / "trip" / "movie.mp4", base / "copy.mp4")
    index_folder(gallery, base)
    hits = gallery.search(gallery.vectors("image")[0])
    assert sorted(hit.duplicates for hit in hits) == [0, 0, 5]
    (group,) = gallery.duplicates(["same bytes"])
    assert [hit.metadata["video"] for hit in group.hits] == ["copy.mp4", "trip/movie.mp4"]


def test_ids_of_others_are_no_frames(gallery, base) -> None:
    index_folder(gallery, base)
    for at in (1, 2):
        gallery.add([Item(f"clip#t={at}", picture(base / f"{at}.png", 50 + at))])
    hits = gallery.search(gallery.vectors("image")[0], k=20)
    assert sum(hit.id.startswith("clip") for hit in hits) == 2
