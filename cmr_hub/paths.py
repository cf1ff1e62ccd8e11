"""Paths as galleries keep them: absolute, with forward slashes, the same on every platform.

A gallery may be opened on another system than the one that wrote it, so a path of Windows
(`C:/Users/…`, `//server/share/…`) is absolute on Linux too.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Final
from unicodedata import normalize

_WINDOWS: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\/]|//[^/]")


def kept_path(path: str | os.PathLike[str]) -> str:
    """Return a path as galleries keep it; links stay as they are."""
    return os.path.abspath(path).replace(os.sep, "/")  # noqa: PTH100 - Path.resolve() follows links


def is_of_windows(path: str) -> bool:
    """Return whether a path begins with a drive or the name of a server."""
    return _WINDOWS.match(path) is not None


def absolute(path: str, base: Path) -> str:
    """Return a path as galleries keep it, relative to a folder unless it is absolute somewhere."""
    if is_of_windows(path):
        return posixpath.normpath(path.replace("\\", "/"))
    return posixpath.normpath(path) if path.startswith("/") else kept_path(base / path)


def common_folder(folders: Sequence[str]) -> str:
    """Return the deepest folder that contains all of these, or "" for those of several drives."""
    try:
        common = posixpath.commonpath(folders)
    except ValueError:  # of Windows and of another system
        return ""
    servers = {folder.startswith("//") for folder in folders}
    if True in servers:
        # A server and its share are as a drive.
        return f"/{common}" if servers == {True} and common.count("/") > 1 else ""
    return f"{common}/" if common.endswith(":") else common


def uri_of(path: str) -> str:
    """Return the `file:` address of an absolute path of any platform."""
    return (PureWindowsPath if is_of_windows(path) else PurePosixPath)(path).as_uri()


def plain(path: PurePath | str) -> str:
    """Return a path whose letters are composed and without case, as disks of a Mac compare them."""
    return normalize("NFC", normalize("NFC", str(path)).casefold())


def as_on_disk(path: Path) -> Path:
    """Return an absolute path in the spelling of its disk.

    On a disk that ignores case or the composition of letters, `pictures` and `Pictures` are one
    folder; without this, indexing it under both names would keep every picture twice.
    """
    found = Path(path.anchor)
    for part in path.parts[1:]:
        name = part
        try:
            names = os.listdir(found)  # noqa: PTH208 - names only
            if part not in names:
                alike = [own for own in names if plain(own) == plain(part)]
                same = [own for own in alike if (found / own).samefile(found / part)]
                name = same[0] if same else part
        except OSError:  # not readable, or not there
            pass
        found /= name
    return found
