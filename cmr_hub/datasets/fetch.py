"""Download datasets from their authors' servers, if these require no form or login."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from cmr_hub.atomic import storing
from cmr_hub.checksums import sha256_of_file
from cmr_hub.datasets.location import DATA_HOME
from cmr_hub.errors import CMRError, DataFormatError
from cmr_hub.progress import Meter

_SECONDS: Final = 60
_TRIES: Final = 5
_BLOCK: Final = 2**20
_MEGABYTE: Final = 10**6
_RATIO: Final = 200
"""Maximum ratio of uncompressed to compressed bytes; pictures hardly compress further."""


@dataclass(frozen=True)
class Archive:
    """A .zip file; a single top-level folder in it is stripped.

    Attributes:
        url: URL of the file.
        to: folder in the dataset to extract to.
        only: files to extract; all if empty.
    """

    url: str
    to: str = ""
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The archives of a dataset, and the SHA-256 of its files, as far as known."""

    archives: tuple[Archive, ...]
    sha256: Mapping[str, str] = field(default_factory=dict)


SOURCES: Final = {
    "wikipedia": Source(
        (Archive("http://www.svcl.ucsd.edu/projects/crossmodal/wikipedia_dataset.zip"),),
        {
            "categories.list": "4929f3ee00e9de9ffe11f9ab18fc8919b0f6182cc801309409df2f2d05e2b0f5",
            "trainset_txt_img_cat.list": (
                "30c1ba8afbe90da5986de9b12496b6dd2e4680d3876b79ab7aae2e437d5819a3"
            ),
            "testset_txt_img_cat.list": (
                "ec3123ee31cc89dd95fbeb23eb73b2ecfd1d8909bba863723471aad99408c1eb"
            ),
            "raw_features.mat": "ca628f765a69575e168ab29eb97f5ade12fadf47b31de1328c7ff631c7f225ae",
        },
    ),
    "mirflickr25k": Source(
        (
            Archive("https://press.liacs.nl/mirflickr/mirflickr25k.v3b/mirflickr25k.zip"),
            Archive(
                "https://press.liacs.nl/mirflickr/mirflickr25k.v3b/"
                "mirflickr25k_annotations_v080.zip",
                to="mirflickr25k_annotations_v080",
            ),
        )
    ),
    "coco": Source(
        (
            Archive(
                "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
                only=("dataset_coco.json",),
            ),
            Archive("http://images.cocodataset.org/zips/val2014.zip", to="val2014"),
            Archive("http://images.cocodataset.org/zips/train2014.zip", to="train2014"),
        )
    ),
}


def default_folder(name: str) -> Path:
    """Return the folder of a dataset in `$CMR_DATA_HOME`. Raises CMRError if it is not set."""
    home = os.environ.get(DATA_HOME)
    if not home:
        raise CMRError(f"there is no folder for {name}: pass --to DIR, or set {DATA_HOME}")
    return Path(home) / name


def fetch_dataset(name: str, folder: str | Path, *, progress: bool = False) -> bool:
    """Download and extract a dataset of `SOURCES` into a new folder, which appears when complete.

    Partial downloads are stored in `.NAME.fetch` next to the folder, and the next call resumes
    them.

    Returns:
        Whether the SHA-256 of files was compared; it is not known for all datasets.

    Raises:
        CMRError: the folder is not empty, or a server cannot be reached.
        DataFormatError: an archive is damaged, has names that lead out of the folder, or files with
            another SHA-256.
        StorageError: the disk is full or read-only.
    """
    source, target = SOURCES[name], Path(folder).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CMRError(f"{target} is not empty: choose a new folder with --to")
    work = target.with_name(f".{target.name}.fetch")
    fresh = work / "new"
    with storing(target):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for number, archive in enumerate(source.archives):
            file = work / f"{number}-{PurePosixPath(archive.url).name}"
            if not file.exists():
                download(archive.url, file, progress=progress)
            try:
                unpack(file, fresh / archive.to, archive.only)
            except DataFormatError:
                file.unlink()  # the next call downloads it again
                raise
        for path, sha256 in source.sha256.items():
            if not (fresh / path).is_file() or sha256_of_file(fresh / path) != sha256:
                shutil.rmtree(work)
                raise DataFormatError(
                    f"the SHA-256 of {path} of {name} is not as expected: the download was "
                    "damaged, or its authors changed the file. Nothing was stored; try again"
                )
        if target.exists():
            target.rmdir()
        fresh.rename(target)
        shutil.rmtree(work)
    return bool(source.sha256)


def download(url: str, file: Path, *, progress: bool = False) -> None:
    """Download a file, resuming after a lost connection or an interrupted run.

    Raises:
        CMRError: the server cannot be reached, refuses the request, or closes the connection too
            often without any progress.
    """
    part, mark = file.with_name(f"{file.name}.part"), file.with_name(f"{file.name}.mark")
    tries, reason = 0, ""
    while tries < _TRIES:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _resume(url, part, mark, progress=progress):
                part.rename(file)
                mark.unlink(missing_ok=True)
                return
            reason = "the connection was lost"
        except HTTPError as error:
            if error.code != 416:  # 416: the part is longer than the file, which has changed
                raise CMRError(
                    f"{url} cannot be downloaded: {error.code} {error.reason}"
                ) from error
            part.unlink()
        except OSError as error:
            if getattr(error, "filename", None) is not None:  # an error of the disk
                raise
            reason = str(error)
        after = part.stat().st_size if part.exists() else 0
        tries = 0 if after > before else tries + 1
    raise CMRError(
        f"{url} cannot be downloaded: {reason}. Run the same command again to resume the download"
    )


def _resume(url: str, part: Path, mark: Path, *, progress: bool) -> bool:
    """Download the missing part of a file; return whether the file is complete."""
    done = part.stat().st_size if part.exists() else 0
    version = mark.read_text(encoding="utf-8") if mark.exists() else ""
    headers = {"User-Agent": "cmr-hub"}
    if done and version:  # if the file has changed, the server sends all of it
        headers |= {"Range": f"bytes={done}-", "If-Range": version}
    with urlopen(Request(url, headers=headers), timeout=_SECONDS) as reply:  # noqa: S310 - SOURCES
        if reply.status != 206:
            done = 0
        mark.write_text(_version(reply), encoding="utf-8")
        length = reply.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        name = PurePosixPath(url).name
        size = (total or 0) // _MEGABYTE
        with (
            part.open("ab" if done else "wb") as out,
            Meter(size, name, "MB", done=done // _MEGABYTE, show=progress) as meter,
        ):
            while block := reply.read(_BLOCK):
                out.write(block)
                megabytes = done // _MEGABYTE
                done += len(block)
                meter.update(done // _MEGABYTE - megabytes)
    return total is None or done >= total


def _version(reply: Any) -> str:
    """Return the identifier of a file's version for `If-Range`, or "" if the server sends none."""
    tag = str(reply.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(reply.headers.get("Last-Modified", ""))


def unpack(file: Path, folder: Path, only: tuple[str, ...] = ()) -> None:
    """Extract a .zip file, stripping a single top-level folder.

    Raises:
        DataFormatError: the file is damaged, has links or names that lead out of the folder, lacks
            a file of `only`, or extracts to far more bytes than any dataset.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, file.stat().st_size)
            tops = {one.filename.split("/", 1)[0] for one in members if "/" in one.filename}
            is_wrapped = len(tops) == 1 and all("/" in one.filename for one in members)
            names = set()
            for one in members:
                name = one.filename.split("/", 1)[1] if is_wrapped else one.filename
                if only and name not in only:
                    continue
                names.add(name)
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(one) as content, path.open("wb") as out:
                    shutil.copyfileobj(content, out, _BLOCK)
    except DataFormatError as error:
        raise DataFormatError(f"{file.name} is refused: {error}") from error
    # zipfile raises all of these on damaged input.
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DataFormatError(f"{file.name} is damaged: {error}") from error
    if missing := set(only) - names:
        raise DataFormatError(
            f"{file.name} has no {', '.join(sorted(missing))}, which the dataset needs"
        )


def _members(archive: zipfile.ZipFile, packed: int) -> list[zipfile.ZipInfo]:
    """Return the files of an archive. Raises DataFormatError if one of them is unsafe."""
    members = [
        one
        for one in archive.infolist()
        if not one.is_dir() and not one.filename.startswith("__MACOSX/")
    ]
    for one in members:
        _refuse(one)
    unpacked = sum(one.file_size for one in members)
    if unpacked > _RATIO * packed:
        raise DataFormatError(f"it unpacks to {unpacked:,} bytes")
    return members


def _refuse(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    # On Windows, a drive or a backslash would lead to another folder.
    is_outside = name.startswith("/") or ".." in parts or PureWindowsPath(name).drive
    if is_outside or "\0" in name or (not parts and name):
        raise DataFormatError(f"its member {name!r} leads out of the folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataFormatError(f"its member {name!r} is a link")
