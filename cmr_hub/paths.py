"""Paths as stored in galleries: absolute, with forward slashes, the same on every platform.

A gallery may be opened on a different system from the one that wrote it, so a Windows path
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


def stored_path(path: str | os.PathLike[str]) -> str:
    """Return a path as stored in galleries; links are not resolved."""
    return os.path.abspath(path).replace(os.sep, "/")  # noqa: PTH100 - Path.resolve() follows links


def is_of_windows(path: str) -> bool:
    """Return whether a path begins with a drive or the name of a server."""
    return _WINDOWS.match(path) is not None


def absolute(path: str, base: Path) -> str:
    """Return a path as stored in galleries, relative to `base` unless absolute on any platform."""
    if is_of_windows(path):
        return posixpath.normpath(path.replace("\\", "/"))
    return posixpath.normpath(path) if path.startswith("/") else stored_path(base / path)


def common_folder(folders: Sequence[str]) -> str:
    """Return the deepest folder that contains all of these, or "" if their drives differ."""
    try:
        common = posixpath.commonpath(folders)
    except ValueError:  # Windows paths and others
        return ""
    servers = {folder.startswith("//") for folder in folders}
    if True in servers:
        # A server and its share together correspond to a drive.
        return f"/{common}" if servers == {True} and common.count("/") > 1 else ""
    return f"{common}/" if common.endswith(":") else common


def uri_of(path: str) -> str:
    """Return the `file:` URL of an absolute path of any platform."""
    return (PureWindowsPath if is_of_windows(path) else PurePosixPath)(path).as_uri()


def plain(path: PurePath | str) -> str:
    """Return a path in composed form (NFC) without case, as macOS file systems compare names."""
    return normalize("NFC", normalize("NFC", str(path)).casefold())


def as_on_disk(path: Path) -> Path:
    """Return an absolute path in the spelling of its file system.

    If the file system ignores case or Unicode composition, `pictures` and `Pictures` are the same
    folder; without this, indexing it under both names would store every picture twice.
    """
    result = Path(path.anchor)
    for part in path.parts[1:]:
        name = part
        try:
            names = os.listdir(result)  # noqa: PTH208 - names only
            if part not in names:
                similar = [other for other in names if plain(other) == plain(part)]
                same = [other for other in similar if (result / other).samefile(result / part)]
                name = same[0] if same else part
        except OSError:  # unreadable or missing
            pass
        result /= name
    return result
