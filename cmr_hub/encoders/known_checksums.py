"""Cache of the SHA-256 of large files, because hashing them takes longer than a search."""

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
"""Minimum size in bytes of the files whose hash is cached."""
_SETTLED: Final = 2 * 10**9
"""Coarsest resolution of the times of a file system, in nanoseconds."""


def known_sha256(file: Path) -> str:
    """Return the SHA-256 of a file; hashes of large files are cached until the file changes."""
    size, *before = _state(file)
    if size < _LARGE:
        return sha256_of_file(file)
    path = str(file.resolve())
    facts = [path, size, *before]
    entry = default_cache_home() / "checksums" / hashlib.sha256(os.fsencode(path)).hexdigest()
    with suppress(OSError, ValueError, RecursionError):
        content = read_json(entry)
        if isinstance(content, list) and content[:-1] == facts:
            return str(content[-1])
    checksum = sha256_of_file(file)
    # A later change of a file that is being written may get the same time.
    if time.time_ns() - max(before[1:]) > _SETTLED and _state(file) == [size, *before]:
        with suppress(OSError, StorageError), atomic_file(entry) as fresh:
            fresh.write_text(json.dumps([*facts, checksum]), encoding="utf-8")
    return checksum


def _state(file: Path) -> list[int]:
    """Return values that change if a file is changed or replaced.

    They include the change time of the inode, which cannot be set, unlike the modification time.
    """
    stat = file.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
