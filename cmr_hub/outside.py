"""Read untrusted files safely.

Galleries, models and folders of results may come from untrusted authors. Pipes and devices never
end, a sparse file can claim any size, and a link can lead to other files of this machine. All
readers of such files check them here first.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, Final

LARGEST: Final = 2**40
"""Maximum bytes of any file."""
MOST_BYTES: Final = 2**42
"""Maximum bytes of all files of one directory."""
LARGEST_JSON: Final = 64 * 2**20
"""Default maximum bytes of a JSON file."""

MOST_SHOWN: Final = 2_000
"""Maximum characters of a displayed text; a caption of megabytes would freeze a web page."""

_MAY_BE_HOLES: Final = 64 * 2**20
_CACHE: Final = "snapshots"


def check_file(path: str | Path, limit: int = LARGEST, *, below: str | Path | None = None) -> int:
    """Check, without reading it, that a path is a regular file of at most `limit` bytes.

    Args:
        path: path of the file.
        limit: maximum size in bytes. Sparse files over 64 MiB that are mostly holes are also
            refused.
        below: the directory that the file must be in, without symbolic links that lead out of it
            and without hard links elsewhere; optional.

    Returns:
        The size in bytes.

    Raises:
        OSError: the file is refused; the message is the reason, without the path.
        FileNotFoundError: the file does not exist.
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
    """Read a regular file of at most `limit` bytes. Raises OSError, as `check_file` does."""
    try:
        size = check_file(path, limit, below=below)
        with path.open("rb") as file:
            # Limited, in case the file grows meanwhile.
            return file.read(size)
    except FileNotFoundError:
        raise FileNotFoundError("there is no such file") from None
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error


def read_json(path: Path, limit: int = LARGEST_JSON, *, below: str | Path | None = None) -> Any:
    """Parse a JSON file.

    Raises:
        OSError: see `check_file`.
        ValueError, RecursionError: it is not JSON, or nested too deeply.
    """
    return json.loads(read_bytes(path, limit, below=below).decode())


def shortened(text: str) -> str:
    """Truncate a text for display."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def home_of(directory: str | Path) -> Path:
    """Return the folder that links of a directory may lead to: itself, or its Hub cache entry."""
    resolved = Path(directory).resolve()
    for parent in resolved.parents:
        if parent.name == _CACHE and (parent.parent / "blobs").is_dir():
            return parent.parent
    return resolved


def is_installed(directory: str | Path) -> bool:
    """Return whether a directory belongs to an installed package.

    Installers create hard links to files of their own caches.
    """
    resolved = Path(directory).resolve()
    homes = (Path(sys.prefix), Path(__file__).parent)
    return any(resolved.is_relative_to(home.resolve()) for home in homes)


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
    """Raise OSError if more than half of a file is holes, which take no space on disk."""
    if not hasattr(os, "SEEK_HOLE"):
        return
    data, position = 0, 0
    # Non-blocking, in case the file was replaced by a pipe meanwhile.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while position < size and 2 * data < size:
            start = os.lseek(handle, position, os.SEEK_DATA)
            position = os.lseek(handle, start, os.SEEK_HOLE)
            data += position - start
    except OSError:  # only a hole remains, or the file system does not report holes
        pass
    finally:
        os.close(handle)
    if 2 * data < size:
        raise OSError(f"it claims {size:,} bytes and is mostly holes")


def _files(folder: Path) -> list[os.DirEntry[str]]:
    files, folders = [], [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    files.append(entry)
    return files


def _is_same(entry: os.DirEntry[str], status: os.stat_result) -> bool:
    if entry.is_symlink():
        return False
    other = entry.stat(follow_symlinks=False)
    return (other.st_ino, other.st_dev) == (status.st_ino, status.st_dev)
