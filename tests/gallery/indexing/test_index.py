"""A folder of pictures becomes a gallery, and again after it has changed."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from heic import HEIC
from pictures import picture
from PIL import ExifTags, Image
from raw import dng

from cmr_hub.datasets.report import ReadReport
from cmr_hub.encoders.images import parallel
from cmr_hub.errors import DataNotFoundError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import encode
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.indexing.shards import shard_entries
from cmr_hub.gallery.items import FACT_TYPES
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn


@pytest.fixture
def gallery(model, tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "gallery", model)


def rows_of(gallery: Gallery, folder: Path) -> dict[str, dict[str, object]]:
    return {
        Path(row["path"]).relative_to(folder).as_posix(): row for row in gallery.items.to_pylist()
    }


def test_what_is_found_and_what_is_said_of_it(gallery, folder, model, tmp_path) -> None:
    summary = index_folder(gallery, folder)
    assert (summary.pictures, summary.added, summary.removed) == (10, 9, 0)
    assert (summary.without_caption, summary.without_image) == (6, 1)
    assert list(summary.unreadable) == [str(folder / "broken.jpg")]
    assert [line.split(": ")[1] for line in summary.refused] == [
        "../plain0.png leads out of the folder",
        "/etc/passwd leads out of the folder",
    ]
    again = Gallery.open(tmp_path / "gallery", model)
    again.store.verify()
    rows = rows_of(again, folder)
    assert set(rows) == {
        *(f"plain{i}.png" for i in range(4)),
        *("sub/told.jpg", "sub/json.jpg", "table/a.png", "table/b.png", "table/c.png"),
    }
    assert rows["sub/told.jpg"]["sentences"] == ["a picture of flame", "seen again"]
    assert rows["sub/json.jpg"]["label"] == "green"
    assert [rows[f"table/{name}.png"]["year"] for name in "abc"] == [2010, 2011.5, None]
    assert rows["table/b.png"]["sentences"] == ["sea", "flame"]
    assert {row["folder"] for row in rows.values()} == {"", "sub", "table"}
    paths = [Path(row["path"]) for row in again.items.to_pylist()]
    np.testing.assert_allclose(again.vectors("image"), model.encode_images(paths), atol=1e-6)
    assert len(again.vectors("text")) == 4
    hit = again.search("flame", k=1, target="text", where="folder = 'table'")[0]
    assert hit.path == folder / "table" / "b.png"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, mobilenet) -> list[int]:
    """How many pictures were encoded, run by run of the encoder."""
    counts: list[int] = []
    encode = type(mobilenet).encode_pixels

    def count(self, pixels):
        counts.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(type(mobilenet), "encode_pixels", count)
    return counts


def test_only_what_is_new_is_encoded(gallery, folder, model, counted) -> None:
    index_folder(gallery, folder)
    before = rows_of(gallery, folder)
    vectors = dict(zip(before, gallery.vectors("image"), strict=True))
    assert sum(counted) == 9
    summary = index_folder(gallery, folder)
    assert (summary.unchanged, summary.added, summary.updated) == (9, 0, 0)

    (folder / "plain0.png").rename(folder / "sub" / "moved.png")
    (folder / "plain1.png").unlink()
    os.utime(folder / "plain2.png", (1, 1))
    shutil.copy(folder / "plain3.png", folder / "copy.png")
    (folder / "sub" / "told.txt").write_text("the sea")
    picture(folder / "table" / "a.png", 99)
    picture(folder / "new.png", 98)
    summary = index_folder(gallery, folder)
    assert (summary.moved, summary.removed, summary.unchanged) == (1, 1, 4)
    assert (summary.updated, summary.added) == (3, 2)
    assert sum(counted) == 9 + 2
    gallery.store.verify()
    after = rows_of(gallery, folder)
    assert len(after) == len(gallery) == 10
    assert after["sub/moved.png"]["id"] == before["plain0.png"]["id"]
    assert after["sub/moved.png"]["folder"] == "sub"
    assert after["plain2.png"]["id"] == before["plain2.png"]["id"]
    assert after["copy.png"]["id"] == before["plain3.png"]["id"] + "-2"
    assert after["table/a.png"]["id"] != before["table/a.png"]["id"]
    assert after["table/a.png"]["label"] == "blue"
    assert after["sub/told.jpg"]["sentences"] == ["the sea"]
    found = dict(zip(after, gallery.vectors("image"), strict=True))
    np.testing.assert_array_equal(found["sub/moved.png"], vectors["plain0.png"])
    np.testing.assert_array_equal(found["copy.png"], vectors["plain3.png"])
    paths = [folder / name for name in found]
    expected = model.encode_images(paths)
    np.testing.assert_allclose(np.stack(list(found.values())), expected, atol=1e-6)
    assert index_folder(gallery, folder).unchanged == 10


def test_two_pictures_that_change_places(gallery, folder, counted) -> None:
    index_folder(gallery, folder)
    before = rows_of(gallery, folder)
    first, second = folder / "plain0.png", folder / "plain1.png"
    first.rename(folder / "x.png")
    second.rename(first)
    (folder / "x.png").rename(second)
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    index_folder(gallery, folder)
    after = rows_of(gallery, folder)
    assert len(gallery) == 9
    assert after["plain0.png"]["sha256"] == before["plain1.png"]["sha256"]
    assert after["plain1.png"]["sha256"] == before["plain0.png"]["sha256"]
    assert sum(counted) == 9


def test_rows_of_other_folders_stay(gallery, folder, tmp_path) -> None:
    other = tmp_path / "pictures and more"
    picture(other / "one.png", 50)
    index_folder(gallery, folder)
    assert index_folder(gallery, other).removed == 0
    assert index_folder(gallery, folder).unchanged == 9
    assert len(gallery) == 10


def test_an_empty_or_missing_folder_removes_nothing(gallery, folder, tmp_path) -> None:
    index_folder(gallery, folder)
    shutil.rmtree(folder)
    with pytest.raises(DataNotFoundError, match="not a folder"):
        index_folder(gallery, folder)
    folder.mkdir()
    with pytest.raises(DataNotFoundError, match="no pictures"):
        index_folder(gallery, folder)
    assert len(gallery) == 9


def test_every_kind_of_picture(gallery, model, tmp_path) -> None:
    base = tmp_path / "kinds"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    base.mkdir()
    image.convert("CMYK").save(base / "cmyk.jpg")
    image.convert("P").save(base / "palette.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(base / "grey16.png")
    frames = [image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    frames[0].save(base / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(base / "rotated.jpg", exif=exif)
    summary = index_folder(gallery, base)
    assert summary.added == 5
    paths = [Path(row["path"]) for row in gallery.items.to_pylist()]
    expected = model.encode_images(paths)
    np.testing.assert_allclose(gallery.vectors("image"), expected, atol=1e-6)


def test_pictures_are_known_by_content(gallery, model, tmp_path) -> None:
    pytest.importorskip("rawpy")
    base = tmp_path / "kinds"
    base.mkdir()
    image = Image.open(picture(tmp_path / "x.png", 1)).convert("RGB")
    jpegs = (
        "a.jfif",
        "b.jpe",
        "c.pjpeg",
        "without ending",
        "d.jpg_large",
        "e.JPG.bak",
        "f.txt.orig",
    )
    for name in jpegs:
        image.save(base / name, "JPEG")
    image.save(base / "g.apng", "PNG", save_all=True, append_images=[image])
    image.save(base / "h.avif")
    image.save(base / "i.jp2")
    image.save(base / "j.mpo", "MPO", save_all=True, append_images=[image])
    (base / "k.HEIC").write_bytes(HEIC)
    (base / "l.dng").write_bytes(dng(image.resize((160, 120))))
    (base / "without ending.txt").write_text("a flame")
    summary = index_folder(gallery, base)
    assert (summary.added, summary.unreadable, summary.skipped) == (13, {}, [])
    assert rows_of(gallery, base)["without ending"]["sentences"] == ["a flame"]
    paths = [Path(row["path"]) for row in gallery.items.to_pylist()]
    np.testing.assert_allclose(gallery.vectors("image"), model.encode_images(paths), atol=1e-6)
    assert index_folder(gallery, base).unchanged == 13


def test_what_is_passed_over_is_counted_and_named(gallery, folder, tmp_path) -> None:
    only = tmp_path / "phone"
    only.mkdir()
    (only / "a.SVG").write_bytes(b"<svg/>")
    (only / "b.mp4").write_bytes(b"x")
    with pytest.raises(
        DataNotFoundError, match=r"no pictures in .*1 \.svg: the format is not supp"
    ):
        index_folder(gallery, only)
    for name in ("sub/a.svg", "b.SVG", "c.psd", "notes.md", "README", "x.tar.gz", "y.tgz"):
        (folder / name).write_bytes(b"x")
    os.mkfifo(folder / "pipe")
    (folder / ".hidden.svg").write_bytes(b"x")
    for number in range(5):
        (folder / f"cut{number}.jpg").write_bytes(b"\xff\xd8\xff" + bytes(number))
    (folder / "odd\tname\n.jpg").write_bytes(b"")
    log = folder.with_name("log.txt")
    summary = index_folder(gallery, folder, log=log)
    assert summary.added == 9
    text = summary.text()
    assert "skipped: 2 .svg: the format is not supported" in text
    assert "skipped: 2 without extension: it is not a picture" in text
    assert "skipped: 1 .gz: it is compressed: unpack it to a .tar file" in text
    assert "skipped: 6 .jpg: it is not a JPEG" in text  # with broken.jpg
    assert "more; --log FILE lists all" in text
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    assert {len(line) for line in lines} == {2}
    paths = [Path(path) for path, _ in lines]
    assert {path.name for path in paths if path.parent == folder} == {
        *("broken.jpg", "b.SVG", "c.psd", "notes.md", "README", "x.tar.gz", "y.tgz", "pipe"),
        *(f"cut{number}.jpg" for number in range(5)),
        *("odd\\tname\\n.jpg", ".hidden", ".hidden.png"),
    }
    assert all(reason for _, reason in lines)


def photograph(path: Path, model: str = "Pixel 6", taken: str = "2021:06:01 12:00:00") -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Google", model
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitude], place[ExifTags.GPS.GPSLatitudeRef] = (48.0, 12.0, 0.0), "N"
    place[ExifTags.GPS.GPSLongitude], place[ExifTags.GPS.GPSLongitudeRef] = (16.0, 24.0, 0.0), "E"
    picture(path, len(str(path)) + sum(map(ord, taken)), exif=exif)


def test_what_cameras_write_becomes_columns(gallery, model, tmp_path, counted) -> None:
    base = tmp_path / "photos"
    photograph(base / "phone.jpg")
    photograph(base / "old.jpg", "Pixel", "2019:01:01 00:00:00")
    picture(base / "plain.png", 3)
    os.utime(base / "plain.png", (0, 0))
    index_folder(gallery, base)

    def names(where: str) -> set[str]:
        return {hit.path.name for hit in gallery.search("sea", where=where, target="image")}

    assert names("taken >= '2021-06-01' AND camera LIKE '%Pixel%'") == {"phone.jpg"}
    assert names("year >= 2019") == {"phone.jpg", "old.jpg"}
    assert names("near(48.2, 16.4, 1) AND month = 1") == {"old.jpg"}
    assert names("taken IS NULL AND width = 40 AND orientation = 'landscape'") == {"plain.png"}
    assert names("modified < '1990'") == {"plain.png"}
    assert names("lens = 'none'") == set()
    row = rows_of(gallery, base)["plain.png"]
    assert row["modified"] == datetime(1970, 1, 1)
    assert index_folder(gallery, base).unchanged == 3
    (base / "phone.txt").write_text("the sea")
    index_folder(gallery, base)
    row = rows_of(gallery, base)["phone.jpg"]
    assert (row["sentences"], row["camera"]) == (["the sea"], "Google Pixel 6")
    assert sum(counted) == 3


@pytest.mark.parametrize(
    ("own", "of_others"),
    [(1999, 2021), (1999.5, 2021), ("long ago", "2021"), ("1999", "2021"), (True, "2021")],
)
def test_metadata_comes_before_what_cameras_write(gallery, tmp_path, own, of_others) -> None:
    base = tmp_path / "photos"
    photograph(base / "a.jpg")
    photograph(base / "b.jpg")
    (base / "a.json").write_text(json.dumps({"year": own, "camera": 7}))
    index_folder(gallery, base)
    rows = rows_of(gallery, base)
    kept = str(own) if isinstance(of_others, str) else own
    assert [rows[name]["year"] for name in ("a.jpg", "b.jpg")] == [kept, of_others]
    assert [rows[name]["camera"] for name in ("a.jpg", "b.jpg")] == ["7", "Google Pixel 6"]
    assert index_folder(gallery, base).unchanged == 2
    photograph(base / "c.jpg")
    assert index_folder(gallery, base).added == 1


def test_a_gallery_of_an_earlier_version_gains_the_columns(gallery, tmp_path, counted) -> None:
    base = tmp_path / "photos"
    photograph(base / "a.jpg")
    photograph(base / "b.jpg", taken="2020:01:01 00:00:00")
    index_folder(gallery, base)
    now = gallery.items
    nanoseconds = [(base / name).stat().st_mtime_ns for name in ("a.jpg", "b.jpg")]
    number = now.column_names.index("modified")
    old = now.set_column(number, "modified", pa.array(nanoseconds)).drop_columns(list(FACT_TYPES))
    vectors = gallery.vectors("image")
    out = tmp_path / "old"
    LocalStore.create(out, gallery.model_id, None).put(
        Segment(old, {"image": VectorColumn.full(vectors)})
    )
    opened = Gallery.open(out, gallery.model)
    assert opened.items["modified"].to_pylist() == now["modified"].to_pylist()
    assert len(opened.search("sea", where="modified > '2000-01-01'")) == 2
    assert index_folder(opened, base).updated == 2
    assert opened.items.select(now.column_names).sort_by("path").equals(now.sort_by("path"))
    assert index_folder(opened, base).unchanged == 2
    assert sum(counted) == 2


def test_bombs_are_unreadable(gallery, folder, monkeypatch) -> None:
    monkeypatch.setattr("cmr_hub.datasets.images.MAX_PIXELS", 1000)
    summary = index_folder(gallery, folder)
    assert len(summary.unreadable) == 8  # the two JPEGs are decoded small
    assert "the limit is 1,000" in summary.text()


def test_a_webdataset_shard(gallery, model, tmp_path) -> None:
    base = tmp_path / "shards"
    base.mkdir()
    members: dict[str, bytes] = {}
    for i in range(3):
        path = picture(tmp_path / "x.png", i)
        members[f"part/00{i}.png"] = path.read_bytes()
        members[f"part/00{i}.txt"] = f"the sea {i}".encode()
        members[f"part/00{i}.cls"] = f"{7 + i}".encode()
        members[f"part/00{i}.json"] = json.dumps({"year": 2000 + i, "label": "x"}).encode()
    members["part/009.txt"] = b"no picture"
    members["../climbs.png"] = members["part/000.png"]
    _shard(base / "a.tar", members)
    summary = index_folder(gallery, base)
    assert (summary.added, summary.without_image) == (3, 1)
    rows = rows_of(gallery, base)
    assert set(rows) == {f"a.tar/part/00{i}.png" for i in range(3)}
    assert rows["a.tar/part/000.png"]["label"] == "7"
    assert rows["a.tar/part/002.png"]["sentences"] == ["the sea 2"]
    assert [row["year"] for row in rows.values()] == [2000, 2001, 2002]
    expected = model.encode_images([base / name for name in rows])
    np.testing.assert_allclose(gallery.vectors("image"), expected, atol=1e-6)
    assert index_folder(gallery, base).unchanged == 3
    whole = (base / "a.tar").read_bytes()
    (base / "a.tar").write_bytes(whole[: len(whole) // 2])
    assert index_folder(gallery, base).removed > 0


@pytest.mark.parametrize(
    ("members", "found"),
    [
        (["a.b.c.jpg", "a.b.c.txt"], {"a.b.c.jpg": ["a.b.c.txt"]}),
        (["k.jpg", "k.v1.txt"], {"k.jpg": ["k.v1.txt"]}),
        (["k.jpg", "k.seg.png", "k.txt"], {"k.jpg": ["k.txt"]}),
        (["k.1.jpg", "k.2.jpg", "k.1.txt"], {"k.1.jpg": ["k.1.txt"], "k.2.jpg": []}),
        (["k.1.jpg", "k.2.jpg", "k.txt"], {"k.1.jpg": ["k.txt"], "k.2.jpg": ["k.txt"]}),
        (
            ["IMG.2020.01.HEIC", "IMG.2020.02.avif"],
            {"IMG.2020.01.HEIC": [], "IMG.2020.02.avif": []},
        ),
        (["v1.2/k.jpg", "v1.2/k.txt"], {"v1.2/k.jpg": ["v1.2/k.txt"]}),
    ],
)
def test_names_with_several_dots_in_a_shard(tmp_path, members, found) -> None:
    data = {name: name.encode() for name in members}
    report = ReadReport()
    entries = list(shard_entries(_shard(tmp_path / "a.tar", data), "", 0, report))
    prefix = f"{tmp_path}/a.tar/"
    assert {
        str(entry.path).removeprefix(prefix): list(entry.sentences) for entry in entries
    } == found


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("a.tar.gz", "w:gz", "it is compressed: unpack it"),
        ("a.tar", "w:gz", "it is compressed: unpack it"),
        ("a.tar", "w:bz2", "it is compressed: unpack it"),
        ("a.tar", "w:xz", "it is compressed: unpack it"),
        ("a.tar", "w", "leads out of the shard"),
    ],
)
def test_why_a_shard_has_no_pictures(gallery, tmp_path, name, mode, reason) -> None:
    base = tmp_path / "shards"
    base.mkdir()
    _shard(base / name, {"../climbs.png": b"x", "/etc/x.png": b"x"}, mode)
    with pytest.raises(DataNotFoundError, match=reason):
        index_folder(gallery, base)


def _shard(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_metadata_as_parquet(gallery, folder) -> None:
    table = {"file_name": ["c.png", "gone.png"], "text": ["sea", "x"], "year": [1, 2]}
    (folder / "table" / "metadata.jsonl").unlink()
    pq.write_table(pa.table(table), folder / "table" / "metadata.parquet")
    assert index_folder(gallery, folder).without_image == 1
    assert rows_of(gallery, folder)["table/c.png"]["sentences"] == ["sea"]


@pytest.mark.parametrize("year", ["unknown", "2020", True])
def test_a_column_that_changes_its_kind_becomes_text(
    gallery, folder, tmp_path, model, year
) -> None:
    other = picture(tmp_path / "more" / "one.png", 50)
    other.with_suffix(".json").write_text('{"year": 1999}')
    index_folder(gallery, tmp_path / "more")
    index_folder(gallery, folder)
    record = {"caption": "grass", "label": "green", "year": year}
    (folder / "sub" / "json.json").write_text(json.dumps(record))
    summary = index_folder(gallery, folder)
    assert (summary.unchanged, summary.updated) == (8, 1)
    ((_, told),) = summary.told
    assert told == "the column 'year' has values of several types and is now text"
    again = Gallery.open(tmp_path / "gallery", model)
    again.store.verify()
    years = [year for year in again.items.column("year").to_pylist() if year is not None]
    assert sorted(years) == sorted(["1999", "2010", "2011.5", str(year)])
    summary = index_folder(again, folder)
    assert (summary.unchanged, summary.told) == (9, [])


def test_processes_decode_the_same(gallery, folder, tmp_path, model, monkeypatch) -> None:
    monkeypatch.setattr("cmr_hub.gallery.indexing.decode._FEW", 0)
    here = Gallery.create(None, model)
    index_folder(gallery, folder, workers=2)
    monkeypatch.undo()
    index_folder(here, folder)
    assert gallery.items.equals(here.items)
    np.testing.assert_array_equal(gallery.vectors("image"), here.vectors("image"))


def test_ctrl_c_keeps_what_is_done(gallery, folder, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(type(gallery.model.image.encoder), "batch_size", 1)
    monkeypatch.setattr(parallel, "threads", lambda: 1)
    decoded = encode.Decoders.decoded

    def stopped(*arguments):
        for number, one in enumerate(decoded(*arguments)):
            if number == 3:
                raise KeyboardInterrupt
            yield one

    with monkeypatch.context() as patch:
        patch.setattr(encode.Decoders, "decoded", stopped)
        with pytest.raises(KeyboardInterrupt):
            index_folder(gallery, folder)
    done = len(Gallery.open(tmp_path / "gallery"))
    assert done == 5  # of six one was broken
    summary = index_folder(gallery, folder)
    assert (summary.unchanged, summary.added) == (5, 4)


def test_values_that_no_table_holds_are_left_out(gallery, tmp_path) -> None:
    base = tmp_path / "odd"
    picture(base / "a.png", 1)
    picture(base / "b.png", 2)
    (base / "a.json").write_text('{"year": 1%s, "note": "\\ud800", "place": "here"}' % ("0" * 30))
    summary = index_folder(gallery, base)
    assert sorted(summary.refused) == [
        f"{base / 'a.json'}: the value of 'note' cannot be stored",
        f"{base / 'a.json'}: the value of 'year' cannot be stored",
    ]
    assert sorted(gallery.items.column("place").to_pylist(), key=str) == [None, "here"]


def test_a_number_that_is_none_says_nothing(gallery, tmp_path) -> None:
    base = tmp_path / "odd"
    picture(base / "a.png", 1)
    picture(base / "b.png", 2)
    (base / "a.json").write_text('{"year": NaN}')  # as pandas writes what is missing
    (base / "b.json").write_text('{"year": 2001}')
    index_folder(gallery, base)
    assert {row["year"] for row in gallery.items.to_pylist()} == {None, 2001}
    assert index_folder(gallery, base).unchanged == 2


def test_a_name_that_is_not_utf_8_stops_nothing(gallery, tmp_path) -> None:
    base = tmp_path / "odd"
    picture(base / "a.png", 1)
    shutil.copy(base / "a.png", os.fsencode(base) + b"/\xff.png")
    summary = index_folder(gallery, base)
    assert (len(gallery), summary.refused) == (
        1,
        [f"{base}/\ufffd.png: the name is not UTF-8: rename it"],
    )
    summary.text().encode()


def test_a_folder_that_cannot_be_read_is_told_and_loses_no_row(
    gallery, tmp_path, monkeypatch
) -> None:
    base = tmp_path / "odd"
    picture(base / "a.png", 1)
    picture(base / "gone.png", 3)
    picture(base / "sub" / "b.png", 2)
    assert index_folder(gallery, base).added == 3
    (base / "gone.png").unlink()
    scandir = os.scandir

    def forbidden(path):
        if str(path).endswith("/sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    summary = index_folder(gallery, base)
    assert summary.refused == [f"{base}/sub: Permission denied"]
    assert summary.removed == 1
    assert set(rows_of(gallery, base)) == {"a.png", "sub/b.png"}
