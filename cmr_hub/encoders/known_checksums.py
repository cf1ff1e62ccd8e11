"""SHA-256 of large files, which takes longer than a search: kept until a file changes."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from cmr_hub.atomic import atomic_file
from cmr_hub.cache_home import default_cache_home
from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import StorageError
from cmr_hub.outside import read_json

_LARGE: Final = 16 * 2**20
"""Number of bytes of a file that takes long to hash."""
_SETTLED: Final = 2 * 10**9
"""Nanoseconds that the coarsest clock of a file system needs to show another change."""


def known_sha256(file: Path) -> str:
    """Return the SHA-256 of a file; that of a large one is kept until the file changes."""
    size, *before = _state(file)
    if size < _LARGE:
        return sha256_of_file(file)
    path = str(file.resolve())
    facts = [path, size, *before]
    place = default_cache_home() / "checksums" / hashlib.sha256(os.fsencode(path)).hexdigest()
    with suppress(OSError, ValueError, RecursionError):
        content = read_json(place)
        if isinstance(content, list) and content[:-1] == facts:
            return str(content[-1])
    found = sha256_of_file(file)
    # A file that is being written may change again at the same time, as far as clocks tell.
    if time.time_ns() - max(before[1:]) > _SETTLED and _state(file) == [size, *before]:
        with suppress(OSError, StorageError), atomic_file(place) as fresh:
            fresh.write_text(json.dumps([*facts, found]), encoding="utf-8")
    return found


def _state(file: Path) -> list[int]:
    """Return what differs between two states of a file.

    The time when its inode last changed cannot be set, so it also tells of a file that was changed
    or replaced with its date kept.
    """
    found = file.stat()
    return [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
