"""Patterns of files and folders to exclude from indexing, as in a .gitignore file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cmr_hub.gallery.items import listed


class Excluded:
    """A predicate that is true for excluded files and folders below a base folder.

    A pattern without a slash matches names in every folder (`*.png`, `thumbs`). A pattern with a
    slash matches paths below the base folder (`2019/*.jpg`, `/private`). `*` does not match a
    slash, `**` matches any number of folders, and a pattern with a slash at the end matches only
    folders. The content of an excluded folder is excluded too.

    Args:
        patterns: the patterns.
        base: the base folder.

    Example:
        >>> excluded = Excluded(["raw/", "2019/**/*.png"], Path("/p"))
        >>> [excluded(Path(f"/p/{name}")) for name in ("a/raw/1.jpg", "2019/x/y/1.png", "raw")]
        [True, True, False]
    """

    def __init__(self, patterns: Sequence[str], base: Path) -> None:
        self.base = base
        self.patterns = [
            (
                [*([] if "/" in pattern.rstrip("/") else ["**"]), *pattern.strip("/").split("/")],
                pattern.endswith("/"),
            )
            for given in listed("exclude", patterns, str)
            for pattern in [given.replace(os.sep, "/")]
            if pattern.strip("/")
        ]

    def __call__(self, path: Path, is_folder: bool = False) -> bool:
        """Return whether a path below the base folder is excluded."""
        if not self.patterns:
            return False
        parts = path.relative_to(self.base).parts
        return any(
            _matches(parts[:end], pattern)
            for pattern, only_folders in self.patterns
            for end in range(1, len(parts) + 1)
            if end < len(parts) or is_folder or not only_folders
        )


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
