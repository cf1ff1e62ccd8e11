from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from heic import HEIC
from PIL import Image

from cmr_hub.apps.search_page.uploads import (
    MAX_PICTURE_BYTES,
    MAX_REFUSED,
    MAX_ZIP_ENTRIES,
    pictures_in,
    read_upload,
)
from cmr_hub.errors import ImageError

RED = (200, 30, 30)


def png_bomb(side: int) -> bytes:
    """A PNG that says it has side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + chunk(b"IEND", b"")
    )


def picture_bytes(kind: str, image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PIXEL = picture_bytes("PNG", Image.new("RGB", (1, 1), RED))


def mean(image: Image.Image) -> tuple[int, ...]:
    return image.convert("RGB").resize((1, 1)).getpixel((0, 0))


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("bomb.png", png_bomb(20_000), "20000 × 20000 pixels; the limit is 50,000,000"),
        ("large.png", png_bomb(8_000), "8000 × 8000 pixels; the limit is 50,000,000 in all"),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "not a JPEG"),
        ("a.html", b"<html><script>alert(1)</script></html>", "not a JPEG"),
        ("empty.png", b"", "empty"),
        ("cut.png", picture_bytes("PNG", Image.effect_noise((64, 64), 50))[:500], "a.*"),
    ],
    ids=["bomb", "large", "svg", "html", "empty", "cut"],
)
def test_what_is_no_picture_ends_in_a_sentence(tmp_path, name, data, why) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=why) as refused:
        read_upload(tmp_path / name)
    assert str(refused.value).startswith(f"cannot read the picture {name}: ")
    assert str(tmp_path) not in str(refused.value)


def test_unusual_pictures_are_read(tmp_path) -> None:
    made = {
        "long.png": picture_bytes("PNG", Image.new("RGB", (20_000, 20), RED)),
        "cmyk.jpg": picture_bytes("JPEG", Image.new("RGB", (50, 50), RED).convert("CMYK")),
        "moving.gif": picture_bytes(
            "GIF",
            Image.new("RGB", (50, 50), RED),
            save_all=True,
            append_images=[Image.new("RGB", (50, 50), "blue")] * 3,
        ),
        # A picture and a zip at once: the pixels are taken, and nothing else.
        "polyglot.png": picture_bytes("PNG", Image.new("RGB", (50, 50), RED))
        + b"PK\x03\x04<script>",
    }
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
        found = mean(read_upload(tmp_path / name))
        assert np.abs(np.array(found) - RED).max() < 30, name


def test_turned_photographs_are_put_upright(tmp_path) -> None:
    turned = Image.new("RGB", (40, 20), "white")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert read_upload(tmp_path / "turned.jpg").size == (20, 40)


# ---- zip files


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_pictures_of_files_and_zips(tmp_path) -> None:
    good = picture_bytes("PNG", Image.new("RGB", (10, 10), RED))
    (tmp_path / "one.png").write_bytes(good)
    zipped = zip_of(
        tmp_path / "many.ZIP",
        **{
            "holiday/a.png": good,
            "../../outside.png": good,
            "c:\\windows\\w.png": good,
            "broken.jpg": b"no",
            "bomb.png": png_bomb(30_000),
            "__MACOSX/x.png": good,
            ".hidden.png": good,
            "notes.txt": b"no picture",
        },
    )
    before = sorted(tmp_path.rglob("*"))
    found = dict(pictures_in([tmp_path / "one.png", zipped]))
    assert sorted(tmp_path.rglob("*")) == before
    taken = {name for name, picture in found.items() if isinstance(picture, Image.Image)}
    assert taken == {"one.png", "a.png", "outside.png", "w.png"}
    assert str(found["broken.jpg"]).startswith("cannot read the picture broken.jpg: it is not")
    assert "pixels; the limit is" in str(found["bomb.png"])
    assert set(found) - taken == {"broken.jpg", "bomb.png"}


@pytest.mark.parametrize(
    ("name", "data", "size"),
    [
        ("a.HEIC", HEIC, (64, 96)),
        ("a.jfif", picture_bytes("JPEG", Image.new("L", (8_192, 6_144))), (2_048, 1_536)),
        ("a.avif", picture_bytes("AVIF", Image.new("L", (40, 30))), (40, 30)),
    ],
)
def test_the_page_takes_what_can_be_indexed(tmp_path, name, data, size) -> None:
    (tmp_path / name).write_bytes(data)
    assert read_upload(tmp_path / name).size == size
    archive = zip_of(tmp_path / "all.zip", **{name: data})
    (found,) = pictures_in([archive])
    assert (found[0], found[1].size) == (name, size)


def test_zip_bombs(tmp_path) -> None:
    path = zip_of(tmp_path / "bomb.zip", **{"big.png": b"\0" * (MAX_PICTURE_BYTES + 1)})
    assert path.stat().st_size < 100_000
    (found,) = pictures_in([path])
    assert str(found[1]) == "cannot read the picture big.png: it is larger than 20 MB"
    many = zip_of(tmp_path / "many.zip", **{f"{n}.png": PIXEL for n in range(MAX_ZIP_ENTRIES + 5)})
    *_, last = pictures_in([many])
    assert "has 2,005 pictures; only the first 2,000" in str(last[1])
    many = zip_of(tmp_path / "broken.zip", **{f"{n}.png": b"x" for n in range(MAX_REFUSED + 5)})
    *refused, last = pictures_in([many])
    assert len(refused) == MAX_REFUSED
    assert str(last[1]) == ("broken.zip has 25 unreadable pictures, and the rest were skipped")


def test_zips_that_are_none(tmp_path) -> None:
    (tmp_path / "text.zip").write_text("text")
    assert [str(why) for _, why in pictures_in([tmp_path / "text.zip"])] == [
        "text.zip is not a readable zip file"
    ]
    zip_of(tmp_path / "empty.zip", **{"readme.txt": b"hello"})
    assert [str(why) for _, why in pictures_in([tmp_path / "empty.zip"])] == [
        "empty.zip contains no pictures"
    ]
    good = picture_bytes("PNG", Image.effect_noise((60, 60), 60))
    path = zip_of(tmp_path / "damaged.zip", **{"a.png": good})
    data = bytearray(path.read_bytes())
    data[100:140] = bytes(40)
    path.write_bytes(bytes(data))
    ((name, why),) = pictures_in([path])
    assert (name, str(why)) == (
        "a.png",
        "cannot read the picture a.png: this part of the zip file is damaged",
    )
    # The bit that says a member is encrypted.
    data = bytearray(zip_of(tmp_path / "locked.zip", **{"a.png": good}).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(bytes(data))
    ((_, why),) = pictures_in([tmp_path / "locked.zip"])
    assert str(why) == "cannot read the picture a.png: the zip file has a password"


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_otherwise_is_told(tmp_path, kind: int) -> None:
    """Such parts ask for as much memory as they say, and fail in ways of their own."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", kind) as file:
        file.writestr("a.png", picture_bytes("PNG", Image.new("RGB", (5, 5), RED)))
    ((name, found),) = pictures_in([tmp_path / "x.zip"])
    assert name == "a.png"
    assert "with deflate" in str(found)


def test_a_part_without_a_name_is_passed_over(tmp_path) -> None:
    picture = picture_bytes("PNG", Image.new("RGB", (5, 5), RED))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("nameless.png", picture)
        file.writestr("b.png", picture)
    content = (tmp_path / "x.zip").read_bytes().replace(b"nameless", b"\0ameless")
    (tmp_path / "x.zip").write_bytes(content)
    ((name, found),) = pictures_in([tmp_path / "x.zip"])
    assert name == "b.png"
    assert mean(found) == RED
