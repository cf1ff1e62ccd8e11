"""Frames of videos: which, when, and which way up; and files that are none."""

from __future__ import annotations

import builtins
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from films import BLUE, GREEN, RED, film, sound
from PIL import Image

from cmr_hub.datasets import videos
from cmr_hub.datasets.images import looks_like_picture, picture_exists, read_file, read_image
from cmr_hub.datasets.videos import Video, clock, frame_of, frame_suffix, video_format
from cmr_hub.errors import ImageError


def scenes(path: Path) -> list[float]:
    with Video(path) as video:
        return video.scenes()


def colour(image: Image.Image) -> tuple[int, ...]:
    """The main colour, rounded."""
    middle = image.getpixel((image.width // 2, image.height // 2))
    return tuple(250 if value > 125 else 10 for value in middle)


@pytest.mark.parametrize(
    ("name", "form", "codec", "options"),
    [
        ("a.mp4", "mp4", "libx264", {}),
        ("a.mov", "mov", "mpeg4", {}),
        ("a.mkv", "matroska", "libx264", {}),
        ("a.webm", "webm", "libvpx", {}),
        ("a.avi", "avi", "mjpeg", {}),
        ("a.ts", "mpegts", "libx264", {}),
        ("a.mts", "mpegts", "libx264", {"mpegts_m2ts_mode": "1"}),
        ("a.wmv", "asf", "wmv2", {}),
        ("a.flv", "flv", "libx264", {}),
        ("without ending", "mp4", "libx264", {"movflags": "faststart"}),
        ("fragments.mp4", "mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_a_frame_of_each_scene(tmp_path, name, form, codec, options) -> None:
    path = film(tmp_path / name, form=form, codec=codec, options=options)
    start = path.read_bytes()[: videos.START_BYTES]
    assert video_format(start)
    assert not looks_like_picture(start)
    times = scenes(path)
    np.testing.assert_allclose(times, [0, 1, 2], atol=0.05)
    for seconds, expected in zip(times, (RED, GREEN, BLUE), strict=True):
        image = read_image(path.with_name(path.name + frame_suffix(seconds)))
        assert (image.mode, image.size, colour(image)) == ("RGB", (64, 48), expected)
    # A time between two key frames shows the one before.
    with Video(path) as video:
        assert colour(video.frame(1.7)[0]) == GREEN
        assert colour(video.frame(99)[0]) == BLUE


def test_mpeg_2_starts_later_than_0(tmp_path) -> None:
    path = film(tmp_path / "a.mpg", form="vob", codec="mpeg2video")
    times = scenes(path)
    assert times[0] == 0
    with Video(path) as video:
        found = [colour(video.frame(at)[0]) for at in times]
    assert (found[0], found[-1]) == (RED, BLUE)


def test_a_still_video_has_one_frame_and_a_change_back_is_a_scene(tmp_path) -> None:
    assert scenes(film(tmp_path / "a.mp4", [RED] * 4)) == [0]
    assert scenes(film(tmp_path / "b.mp4", [RED, RED, GREEN, GREEN, RED])) == [0, 2, 4]
    assert scenes(film(tmp_path / "c.mp4", [RED, GREEN], times=[0, 1, 3, 10, 11, 17])) == [0, 1]


def test_the_number_of_frames_of_a_minute_is_limited(tmp_path, monkeypatch) -> None:
    colours = [RED, GREEN, (120, 120, 120)] * 10
    path = film(tmp_path / "a.mp4", colours, times=range(0, 300, 10))
    times = scenes(path)
    assert len(times) == videos.MOST_A_MINUTE
    assert times[0] == 0
    monkeypatch.setattr(videos, "_MOST_COMPARED", 3)
    assert len(scenes(path)) < 5


@pytest.mark.parametrize(
    ("turned", "corner"),
    [
        ((1, 0, 0, 1), "top left"),
        ((0, 1, -1, 0), "top right"),
        ((-1, 0, 0, -1), "bottom right"),
        ((0, -1, 1, 0), "bottom left"),
        ((-1, 0, 0, 1), "top right"),
        ((1, 0, 0, -1), "bottom left"),
        ((0, 1, 1, 0), "top left"),
        ((0, -1, -1, 0), "bottom right"),
    ],
)
def test_frames_are_upright(tmp_path, turned, corner) -> None:
    path = film(tmp_path / "a.mp4", turned=turned)
    with Video(path) as video:
        image, facts = video.frame(1)
    is_sideways = turned[0] == 0
    assert image.size == ((48, 64) if is_sideways else (64, 48))
    assert (facts["width"], facts["height"]) == image.size
    assert facts["orientation"] == ("portrait" if is_sideways else "landscape")
    x = image.width - 3 if "right" in corner else 2
    y = image.height - 3 if "bottom" in corner else 2
    assert min(image.getpixel((x, y))) > 200


def test_a_frame_is_decoded_small_if_that_is_enough(tmp_path) -> None:
    path = film(tmp_path / "a.mp4", size=(320, 240))
    assert read_image(f"{path}#t=1", enough=60).size == (80, 60)
    assert read_image(f"{path}#t=1", enough=61).size == (160, 120)
    with Video(path) as video:
        assert video.frame(0, 50)[1]["width"] == 320


def test_what_the_camera_wrote(tmp_path) -> None:
    apple = {
        "com.apple.quicktime.creationdate": "2021-06-01T12:30:00+0200",
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 12",
        "com.apple.quicktime.location.ISO6709": "-33.8568+151.2153+010.000/",
    }
    other = {"creation_time": "2019-02-03T04:05:06.000000Z", "location": "+48.2082+016.3738/"}
    known = {
        "a.mov": ("mov", apple, (2021, "+02:00", "Apple iPhone 12", -33.8568, 151.2153)),
        "b.mp4": ("mp4", other, (2019, "+00:00", None, 48.2082, 16.3738)),
        "c.mp4": ("mp4", {"creation_time": "1904-01-01T00:00:00Z"}, (None,) * 5),
        "d.mp4": ("mp4", {"location": "+00.0000+000.0000/"}, (None,) * 5),
    }
    for name, (form, tags, expected) in known.items():
        options = {"movflags": "use_metadata_tags"} if tags is apple else {}
        with Video(film(tmp_path / name, form=form, tags=tags, options=options)) as video:
            facts = video.frame(0)[1]
        names = ("year", "taken_offset", "camera", "latitude", "longitude")
        assert tuple(facts[one] for one in names) == expected
        if tags is apple:
            assert facts["taken"] == datetime(2021, 6, 1, 12, 30)


def test_a_file_of_such_a_name_is_itself(tmp_path) -> None:
    path = film(tmp_path / "a.mp4")
    named = tmp_path / "a.mp4#t=1"
    assert frame_of(named) == (path, 1)
    assert picture_exists(named)
    Image.new("RGB", (5, 7), "white").save(named, "PNG")
    assert frame_of(named) is None
    assert read_image(named).size == (5, 7)
    for name in ("a.mp4", "a.mp4#t=", "a.mp4#t=x", "a.mp4#t=1,5", "#t=1#x", "a.mp4#t=-1"):
        assert frame_of(tmp_path / name) is None
    path.unlink()
    assert not picture_exists(tmp_path / "a.mp4#t=2")
    with pytest.raises(ImageError, match="there is no such file"):
        read_image(tmp_path / "a.mp4#t=2")


def test_a_frame_as_bytes_and_a_video_as_picture(tmp_path) -> None:
    path = film(tmp_path / "a.mp4")
    assert colour(read_image(read_file(Path(f"{path}#t=2")))) == BLUE
    with pytest.raises(ImageError, match=r"name one of its frames, such as movie\.mp4#t=12\.5"):
        read_image(path)


def test_times_in_paths_and_on_clocks() -> None:
    times = (0, 0.0004, 12.5, 10, 3600.123)
    assert [frame_suffix(at) for at in times] == ["#t=0", "#t=0", "#t=12.5", "#t=10", "#t=3600.123"]
    assert [clock(at) for at in times] == ["0:00", "0:00", "0:12", "0:10", "1:00:00"]


def _cut(path: Path, name: str, size: int) -> Path:
    out = path.with_name(name)
    out.write_bytes(path.read_bytes()[:size])
    return out


REFUSED = {
    "empty": (lambda base: _cut(film(base / "f.mp4"), "a.mp4", 0), "not a video"),
    "cut in its table": (lambda base: _cut(film(base / "f.mp4"), "a.mp4", 900), "damaged video"),
    "only a start": (lambda base: _cut(film(base / "f.mp4"), "a.mp4", 40), "damaged video"),
    "sound": (lambda base: sound(base / "a.m4a"), "without pictures"),
    "other sound": (lambda base: sound(base / "a.mka", "matroska"), "without pictures"),
    "sound with a cover": (lambda base: sound(base / "a.m4a", cover=True), "without pictures"),
    "encrypted": (
        lambda base: film(
            base / "a.mp4",
            options={
                "encryption_scheme": "cenc-aes-ctr",
                "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
                "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
            },
        ),
        "damaged or encrypted",
    ),
    "a playlist": (
        lambda base: _written(base, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        "not a video",
    ),
    "a list": (lambda base: _written(base, b"ffconcat version 1.0\nfile f.mp4\n"), "not a video"),
    "a manifest": (lambda base: _written(base, b"<?xml version='1.0'?><MPD></MPD>"), "not a video"),
    "a playlist in a box": (
        lambda base: _written(base, b"\0\0\0\x10ftypisom\0\0\0\0#EXTM3U\nfile:///etc/passwd\n"),
        "damaged video",
    ),
    "a folder": (lambda base: base, "it is a folder"),
    "a device": (lambda _base: Path("/dev/zero"), "not a regular file"),
}


def _written(base: Path, data: bytes) -> Path:
    path = base / "a.mp4"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_a_reason(tmp_path, kind) -> None:
    make, reason = REFUSED[kind]
    path = make(tmp_path)
    with pytest.raises(ImageError, match=reason):
        scenes(path)


def test_what_is_left_of_a_cut_or_damaged_film_is_used(tmp_path) -> None:
    whole = film(tmp_path / "a.mkv", form="matroska", size=(320, 240))
    assert scenes(_cut(whole, "cut.mkv", int(whole.stat().st_size * 0.6)))[0] == 0
    data = bytearray(whole.read_bytes())
    generator = np.random.default_rng(0)
    for number in range(20):
        at = generator.integers(len(data) // 4, len(data), 30)
        damaged = data.copy()
        for place in at:
            damaged[place] ^= 0xFF
        path = tmp_path / f"{number}.mkv"
        path.write_bytes(damaged)
        with suppress(ImageError):
            times = scenes(path)
            assert read_image(f"{path}{frame_suffix(times[0])}").width > 0


def test_limits(tmp_path, monkeypatch) -> None:
    path = film(tmp_path / "a.mp4", size=(320, 240))
    monkeypatch.setattr(videos, "_MOST_PIXELS", 320 * 240 - 1)
    with pytest.raises(ImageError, match="320 × 240 pixels; the limit is 76,799"):
        scenes(path)
    monkeypatch.undo()
    monkeypatch.setattr(videos, "_MOST_SECONDS", 0.0)
    with pytest.raises(ImageError):
        scenes(path)
    monkeypatch.undo()
    monkeypatch.setattr(videos, "_MOST_BYTES", 10)
    with pytest.raises(ImageError, match="the limit is 10"):
        scenes(path)
    monkeypatch.undo()
    hole = tmp_path / "hole.mp4"
    hole.write_bytes(path.read_bytes())
    os.truncate(hole, 2**32)
    with pytest.raises(ImageError, match="mostly holes"):
        scenes(hole)


def test_no_other_file_is_opened(tmp_path, monkeypatch) -> None:
    """A film whose pictures are in another file, as QuickTime's references are."""
    whole = film(tmp_path / "whole.mov", form="mov").read_bytes()
    outside = tmp_path / "outside.mov"
    outside.write_bytes(whole)
    # An alias, as FFmpeg reads it: one folder up, one down, and the absolute path as entry 2.
    name = str(outside).encode()
    alias = bytes(130) + b"\0\1\0\1" + bytes(16) + b"\0\2" + len(name).to_bytes(2, "big")
    alias += name + bytes(len(name) % 2) + b"\xff\xff\0\0"
    entry = (len(alias) + 12).to_bytes(4, "big") + b"alis" + bytes(4) + alias
    at = whole.index(b"dref") - 4
    size = int.from_bytes(whole[at : at + 4], "big")
    grown = 16 + len(entry) - size
    boxes = [at, *(whole.rindex(box, 0, at) - 4 for box in (b"dinf", b"minf", b"mdia", b"trak"))]
    boxes.append(whole.index(b"moov") - 4)
    data = bytearray(whole)
    for box in boxes:
        data[box : box + 4] = (int.from_bytes(data[box : box + 4], "big") + grown).to_bytes(
            4, "big"
        )
    data[at + 8 : at + size] = bytes(4) + (1).to_bytes(4, "big") + entry
    path = tmp_path / "reference.mov"
    path.write_bytes(data)
    opened = []
    refuse = videos._refuse_other
    monkeypatch.setattr(videos, "_refuse_other", lambda *what: opened.append(what) or refuse(what))
    outside.unlink()
    os.mkfifo(outside)  # whoever opens it waits for ever
    with suppress(ImageError):
        scenes(path)
    assert opened == []


def test_without_its_library(tmp_path, monkeypatch) -> None:
    path = film(tmp_path / "a.mp4")
    original = builtins.__import__

    def without(name, *arguments):
        if name == "av":
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImageError, match=r'pip install "cmr-hub\[video\]"'):
        read_image(f"{path}#t=1")
