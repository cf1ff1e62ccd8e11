import io
import os
import struct
import sys
import tarfile
import warnings
import zlib

import numpy as np
import pytest
from heic import HEIC
from PIL import Image
from raw import dng

from cmr_hub.datasets import images as images_module
from cmr_hub.datasets.images import (
    broken_images,
    decode_image,
    decoded_pixels,
    looks_like_picture,
    read_image,
)
from cmr_hub.errors import ImageError

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "jpeg2000")
MORE_FORMATS = ("mpo", "dib", "ppm", "tga", "pcx", "sgi", "dds", "qoi")


def photograph(width=96, height=64, grain=4):
    """Smooth noise: large enough when compressed that cutting it hurts."""
    size = (height // grain, width // grain, 3)
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def png_header(width, height):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def pixels(image):
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("kind", [*FORMATS, *MORE_FORMATS])
def test_every_format_becomes_rgb(tmp_path, kind):
    path = tmp_path / "picture.bin"  # the content decides, not the name
    photograph().save(path, kind)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(pixels(read_image(path)), expected)
    np.testing.assert_array_equal(pixels(read_image(str(path))), expected)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_pictures_are_refused(tmp_path, kind, share):
    path = tmp_path / f"cut.{kind}"
    photograph().save(path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=f"cut.{kind}"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"just words\n", "not a JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC, camera RAW"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not a JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG, PNG"),
        (b"8BPS\0\1" + bytes(100), "not a JPEG, PNG"),
        (b"%PDF-1.7\n", "not a JPEG, PNG"),
        (HEIC[:300], "not a JPEG, PNG"),
        (b"FUJIFILMCCD-RAW " + bytes(100), "a camera RAW without a readable preview"),
        (b"\0\0\0\x18ftypcrx " + bytes(100), "a camera RAW without a readable preview"),
        (png_header(50_000, 50_000), "pixels"),
        (png_header(10_000, 9_500), "10000 × 9500 pixels; the limit is 89,000,000"),
    ],
)
@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_what_is_no_picture_is_refused_with_name_and_reason(tmp_path, content, reason):
    path = tmp_path / "odd.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"(?s)odd.jpg.*{reason}"):
        read_image(path)


def test_missing_folder_pipe_and_large_files_are_refused(tmp_path, monkeypatch):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    photograph().save(tmp_path / "large.jpg")
    monkeypatch.setattr(images_module, "MAX_BYTES", 100)
    for name, reason in {
        "none.jpg": "there is no such file",
        "folder.jpg": "it is a folder",
        "pipe.jpg": "it is not a regular file",
        "large.jpg": "the limit is 100",
    }.items():
        with pytest.raises(ImageError, match=f"{name}: .*{reason}"):
            read_image(tmp_path / name)


def test_a_very_wide_picture_is_fine(tmp_path):
    Image.new("RGB", (20_000, 3), (10, 20, 30)).save(tmp_path / "wide.png")
    image = read_image(tmp_path / "wide.png")
    assert image.size == (20_000, 3)
    assert image.getpixel((19_999, 2)) == (10, 20, 30)


UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_once(tmp_path, orientation):
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = photograph(24, 16)
    stored.save(path, exif=exif)
    upright = UPRIGHT[orientation](np.asarray(stored))
    once = read_image(path)
    np.testing.assert_array_equal(pixels(once), upright)
    np.testing.assert_array_equal(pixels(read_image(once)), upright)
    with Image.open(path) as image:
        np.testing.assert_array_equal(pixels(read_image(image)), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_lose_the_picture(tmp_path):
    path = tmp_path / "a.jpg"
    photograph().save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff damaged")
    assert read_image(path).size == (96, 64)


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_cmyk_jpeg(tmp_path, ink, colour):
    Image.new("CMYK", (16, 16), ink).save(tmp_path / "ink.jpg")
    np.testing.assert_allclose(pixels(read_image(tmp_path / "ink.jpg"))[8, 8], colour, atol=4)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4", "<f4"])
@pytest.mark.parametrize(("low", "high"), [(0, 65535), (100, 4000), (7, 7), (0, 0)])
def test_deep_grey_is_stretched_to_its_own_range(tmp_path, monkeypatch, kind, dtype, low, high):
    monkeypatch.setattr(images_module, "_STRIP_PIXELS", 48)  # several strips of one range
    values = np.linspace(low, high, 256).astype(dtype).reshape(16, 16)
    wide = values.astype(float)
    white = 255 if high else 0
    expected = (
        np.rint((wide - low) * 255 / (high - low)) if high > low else np.full(wide.shape, white)
    )
    mode = {"<u2": "I;16", ">u2": "I;16B", "<i4": "I", "<f4": "F"}[dtype]
    grey = Image.frombytes(mode, (16, 16), values.tobytes())
    np.testing.assert_array_equal(pixels(read_image(grey))[..., 0], expected)
    if (kind == "tiff" and dtype != ">u2") or dtype == "<u2":
        grey.save(tmp_path / "deep", kind)
        np.testing.assert_array_equal(pixels(read_image(tmp_path / "deep"))[..., 1], expected)


def test_grey_of_12_bits_and_what_is_not_finite(tmp_path):
    bits = bytes([0x00, 0x0F, 0xFF])  # the values 0 and 4095 of 12 bits
    tags = [
        (256, 2),
        (257, 1),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 1),
        (279, 3),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<I", 12) + bits + b"\0" + struct.pack("<H", 9) + entries
    assert pixels(decode_image(data + bytes(4)))[0, :, 0].tolist() == [0, 255]
    odd = np.array([[np.nan, -np.inf, -2.0, 0.0, 2.0, np.inf]], dtype=np.float32)
    assert pixels(read_image(Image.fromarray(odd)))[0, :, 0].tolist() == [0, 0, 0, 128, 255, 255]
    assert not pixels(read_image(Image.fromarray(odd[:, :1]))).any()


def test_one_bit_grey_and_palette(tmp_path):
    for mode in ("1", "L", "P"):
        image = Image.new("L", (4, 2), 0)
        image.paste(255, (2, 0, 4, 2))
        image.convert(mode).save(tmp_path / "a.png")
        row = pixels(read_image(tmp_path / "a.png"))[0, :, 0]
        assert row.tolist() == [0, 0, 255, 255], mode


def test_transparency_is_laid_over_white(tmp_path):
    for mode, clear, half in (
        ("RGBA", (0, 0, 0, 0), (0, 0, 0, 128)),
        ("LA", (0, 0), (0, 128)),
    ):
        image = Image.new(mode, (2, 1), clear)
        image.putpixel((1, 0), half)
        image.save(tmp_path / "a.png")
        rgb = pixels(read_image(tmp_path / "a.png"))
        assert rgb[0, 0].tolist() == [255] * 3
        assert rgb[0, 1].tolist() == [127] * 3
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    assert pixels(read_image(tmp_path / "p.png")).tolist() == [[[255] * 3, [200, 0, 0]]]


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("gif", "webp"):
        options = {"lossless": True} if kind == "webp" else {}
        path = tmp_path / f"film.{kind}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        assert read_image(path).getpixel((4, 4)) == (255, 0, 0)


def test_empty_pictures_are_refused():
    with pytest.raises(ImageError, match="no pixels"):
        read_image(Image.new("RGB", (0, 4)))


def test_an_open_picture_is_copied_not_aliased():
    source = Image.new("RGB", (2, 2), "red")
    read_image(source).putpixel((0, 0), (0, 0, 255))
    assert source.getpixel((0, 0)) == (255, 0, 0)


def test_reading_leaves_pillows_settings_alone(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    photograph().save(tmp_path / "a.png")
    read_image(tmp_path / "a.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_broken_images_names_the_bad_ones_only(tmp_path):
    photograph().save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:500])
    (tmp_path / "empty.jpg").touch()
    paths = [tmp_path / name for name in ("good.jpg", "bad.jpg", "empty.jpg")]
    broken = broken_images(paths)
    assert list(broken) == paths[1:]
    assert "runcated" in broken[paths[1]]
    assert broken[paths[2]] == "the file is empty"
    assert broken_images([]) == {}


def test_a_tar_file_that_goes_back_is_not_followed_for_ever(tmp_path):
    """A member of negative size leads the reader to where it was before."""
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("a.png", "b.png"):
            member = tarfile.TarInfo(name)
            member.size = 512
            tar.addfile(member, io.BytesIO(bytes(512)))
    data = bytearray((tmp_path / "x.tar").read_bytes())
    start = 2 * 512
    data[start + 124 : start + 136] = b"\xff" * 10 + b"\xf8\x00"  # −2048, as GNU tar has it
    data[start + 148 : start + 156] = b" " * 8
    data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(ImageError, match="negative"):
        read_image(tmp_path / "x.tar" / "c.png")


@pytest.mark.parametrize(
    ("size", "shrunk"),
    [((1600, 1200), (400, 300)), ((1200, 2050), (300, 513)), ((9000, 512), (4500, 256))],
)
def test_of_a_large_jpeg_no_more_is_decoded_than_is_enough(tmp_path, size, shrunk):
    path = tmp_path / "large.jpg"
    photograph(*size, grain=64).save(path, quality=95)
    whole, seen = read_image(path), read_image(path, enough=256)
    assert seen.size == shrunk
    expected = np.asarray(whole.resize(shrunk, Image.Resampling.BOX), dtype=float)
    assert np.abs(pixels(seen) - expected).mean() < 1.5
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ImageError, match=r"large\.jpg"):
        read_image(path, enough=256)


def test_a_picture_is_decoded_whole_where_less_would_not_be_enough(tmp_path):
    path, other = tmp_path / "a.jpg", tmp_path / "a.png"
    photograph(800, 508).save(path)
    photograph(800, 508).save(other)
    np.testing.assert_array_equal(pixels(read_image(path, enough=256)), pixels(read_image(path)))
    assert read_image(other, enough=8).size == (800, 508)
    with Image.open(path) as image:
        assert read_image(image, enough=8).size == (800, 508)
        assert image.size == (800, 508)


@pytest.mark.parametrize(
    ("size", "limit", "decoded"),
    [
        ((1600, 1200), 10**6, (800, 600)),
        ((1000, 1001), 10**5, (250, 251)),
        ((90, 80), 150, (12, 10)),
    ],
)
def test_a_jpeg_over_the_limit_is_decoded_small(size, limit, decoded):
    file = io.BytesIO()
    photograph(*size).save(file, "JPEG")
    assert decode_image(file.getvalue(), max_pixels=limit).size == decoded
    with pytest.raises(ImageError, match=f"{size[0]} × {size[1]} pixels; the limit is 100"):
        decode_image(file.getvalue(), max_pixels=100)


@pytest.mark.parametrize(
    ("size", "options", "decoded"),
    [
        ((12_000, 9_000), {}, (6_000, 4_500)),
        ((16_320, 12_240), {}, (8_160, 6_120)),
        ((12_000, 9_000), {"progressive": True}, None),
    ],
)
@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_photographs_of_108_and_200_megapixels(size, options, decoded):
    file = io.BytesIO()
    Image.new("L", size, 90).save(file, "JPEG", **options)
    data = file.getvalue()
    if decoded is None:  # libjpeg keeps all coefficients of a progressive picture
        with pytest.raises(ImageError, match="12000 × 9000 pixels"):
            decode_image(data)
        return
    assert decoded_pixels(data) == decoded[0] * decoded[1]
    assert decode_image(data, enough=512).size == tuple(-(-side // 8) for side in size)


def test_a_jpeg_with_a_scan_per_colour_is_not_decoded_small():
    file = io.BytesIO()
    photograph(160, 120).save(file, "JPEG")
    data = bytearray(file.getvalue())
    scan = data.rfind(b"\xff\xda")
    data[scan + 4] = 1
    with pytest.raises(ImageError, match="160 × 120 pixels"):
        decode_image(bytes(data), max_pixels=10_000)


@pytest.mark.parametrize("kind", ["png", "webp", "avif", "tiff"])
def test_other_formats_are_not_decoded_over_the_limit(kind):
    file = io.BytesIO()
    photograph(400, 300).save(file, kind)
    with pytest.raises(ImageError, match="400 × 300 pixels; the limit is 1,000"):
        decode_image(file.getvalue(), max_pixels=1000, enough=8)


def test_heic(tmp_path):
    (tmp_path / "IMG_1.HEIC").write_bytes(HEIC)
    image = read_image(tmp_path / "IMG_1.HEIC")
    assert image.size == (64, 96)
    np.testing.assert_allclose(pixels(image)[[4, 90], 4], [(200, 30, 30), (30, 60, 200)], atol=4)
    with pytest.raises(ImageError, match="64 × 96 pixels"):
        decode_image(HEIC, max_pixels=100)
    with pytest.raises(ImageError) as refused:
        decode_image(HEIC[:-20])
    assert "\n" not in str(refused.value)


def test_of_a_camera_raw_the_preview_is_read(monkeypatch):
    pytest.importorskip("rawpy")
    shown = photograph(160, 120, grain=20)
    seen = pixels(decode_image(dng(shown)))
    assert np.abs(seen.astype(int) - np.asarray(shown)).mean() < 4
    with pytest.raises(ImageError, match="160 × 120 pixels"):
        decode_image(dng(shown), max_pixels=100)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(
        ImageError, match=r'^a camera RAW needs .* pip install "cmr-hub\[photos\]"$'
    ):
        decode_image(dng(shown))


def test_a_file_is_known_by_how_it_begins():
    def saved(kind):
        file = io.BytesIO()
        photograph().save(file, kind)
        return file.getvalue()

    starts = [HEIC, dng(photograph()), *map(saved, (*FORMATS, "qoi", "sgi"))]
    assert all(looks_like_picture(start[:32]) for start in starts)
    others = (
        b"",
        b"\xff\xd8",
        b"P1 is text",
        b"# words",
        b"\x7fELF",
        b"PK\3\4",
        b"%PDF-1.7",
        b"%!PS",
    )
    video = b"\0\0\0\x20ftypisom"
    assert not any(looks_like_picture(start) for start in (*others, video))


def test_reading_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for size in ((20_000, 9_000), (10_000, 9_500)):
            with pytest.raises(ImageError, match="pixels; the limit"):
                decode_image(png_header(*size))


def test_a_smaller_picture_is_turned_as_the_large_one(tmp_path):
    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = 6
    photograph(1600, 1200).save(path, exif=exif)
    assert read_image(path, enough=256).size == (300, 400)
