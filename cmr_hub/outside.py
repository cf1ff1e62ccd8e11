"""Files from outside: looked at before they are opened, and read only as far as they should be.

Whoever gives away a gallery, a model or a folder of results decides what lies in it. A pipe never
ends, nor does a device; a file of holes claims to be of any size; a link leads to other files of
this machine. Every reader of such a file asks here first.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, Final

LARGEST: Final = 2**40
"""Bytes of the largest file that is ever read, however it is stored."""
MOST_BYTES: Final = 2**42
"""Bytes of all files of one directory."""
LARGEST_JSON: Final = 64 * 2**20
"""Bytes of a JSON file, where its reader does not know better."""

MOST_SHOWN: Final = 2_000
"""Characters of a text that are laid out: a caption of megabytes would stop a page."""

_MAY_BE_HOLES: Final = 64 * 2**20
_CACHE: Final = "snapshots"


def check_file(path: str | Path, limit: int = LARGEST, *, below: str | Path | None = None) -> int:
    """Refuses whatever is not a regular file of at most `limit` bytes; nothing is read of it.

    Args:
        path: of the file.
        limit: in bytes. A file of more than 64 MiB that is mostly holes is refused below it too.
        below: the directory that the file belongs to: neither it, nor a folder on the way to it,
            may be a link that leads out of there, and it may have no other name elsewhere.

    Returns:
        Its size in bytes.

    Raises:
        OSError: its text is the reason in plain words, without the path; FileNotFoundError where
            there is no such file.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - a path may be text
        _refuse(status, limit)
        if below is not None:
            _refuse_elsewhere(Path(path), Path(below), status)
        if status.st_size > _MAY_BE_HOLES:
            _refuse_holes(path, status.st_size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(error.errno, "there is no such file", str(path)) from None
    except (ValueError, UnicodeError):
        raise OSError("the name is not a valid path") from None
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error
    return status.st_size


def read_bytes(path: Path, limit: int = LARGEST_JSON, *, below: str | Path | None = None) -> bytes:
    """All bytes of a regular file of at most `limit` bytes. Raises OSError, as `check_file`."""
    try:
        size = check_file(path, limit, below=below)
        with path.open("rb") as file:
            # A file that grows meanwhile is read no further.
            return file.read(size)
    except FileNotFoundError:
        raise FileNotFoundError("there is no such file") from None
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error


def read_json(path: Path, limit: int = LARGEST_JSON, *, below: str | Path | None = None) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: as `check_file`.
        ValueError, RecursionError: it is not JSON, or nested too deep.
    """
    return json.loads(read_bytes(path, limit, below=below).decode())


def shortened(text: str) -> str:
    """A text as it is shown: what is longer than anybody reads is cut."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def home_of(directory: str | Path) -> Path:
    """Where the links of a directory may lead to: itself, or, in the Hub's cache, its own store."""
    found = Path(directory).resolve()
    for parent in found.parents:
        if parent.name == _CACHE and (parent.parent / "blobs").is_dir():
            return parent.parent
    return found


def is_installed(directory: str | Path) -> bool:
    """Whether it came with a package: installers make hard links to files of their own caches."""
    found = Path(directory).resolve()
    homes = (Path(sys.prefix), Path(__file__).parent)
    return any(found.is_relative_to(home.resolve()) for home in homes)


def _refuse(status: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    if status.st_size > limit:
        raise OSError(f"it has {status.st_size:,} bytes; the limit is {limit:,}")


def _refuse_elsewhere(path: Path, below: Path, status: os.stat_result) -> None:
    home = home_of(below)
    if not path.resolve().is_relative_to(home):
        raise OSError(f"it is a link that leads out of {below}; put the file there itself")
    if status.st_nlink > 1 and not is_installed(home):
        names = sum(_is_same(entry, status) for entry in _files(home))
        if names < status.st_nlink:
            raise OSError(f"it has another name outside of {below} (a hard link); copy the file")


def _refuse_holes(path: str | Path, size: int) -> None:
    """Raises OSError where more than half of a file is holes, which cost nobody anything."""
    if not hasattr(os, "SEEK_HOLE"):
        return
    data, at = 0, 0
    # It may have become a pipe since it was looked at: that shall not wait.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while at < size and 2 * data < size:
            start = os.lseek(handle, at, os.SEEK_DATA)
            at = os.lseek(handle, start, os.SEEK_HOLE)
            data += at - start
    except OSError:  # nothing but a hole is left, or the disk does not tell holes from data
        pass
    finally:
        os.close(handle)
    if 2 * data < size:
        raise OSError(f"it claims {size:,} bytes and is mostly holes")


def _files(folder: Path) -> list[os.DirEntry[str]]:
    found, within = [], [str(folder)]
    while within:
        with os.scandir(within.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    within.append(entry.path)
                else:
                    found.append(entry)
    return found


def _is_same(entry: os.DirEntry[str], status: os.stat_result) -> bool:
    if entry.is_symlink():
        return False
    found = entry.stat(follow_symlinks=False)
    return (found.st_ino, found.st_dev) == (status.st_ino, status.st_dev)
