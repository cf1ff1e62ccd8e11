"""Cache of exported networks, which are verified when they are used."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cmr_hub.atomic import atomic_directory, storing
from cmr_hub.cache_home import default_cache_home
from cmr_hub.checksums import sha256_of_file
from cmr_hub.encoders.known_checksums import known_sha256

logger = logging.getLogger(__name__)

_CHECKSUMS: Final = "checksums.json"


def cached(kind: str, facts: Sequence[str]) -> Path | None:
    """Return the directory of an exported network; None if it is missing or damaged.

    Args:
        kind: Prefix of the directory's name.
        facts: Everything that determines the files.
    """
    directory = _directory(kind, facts)
    return directory if _is_complete(directory) else None


def cached_or_made(kind: str, facts: Sequence[str], make: Callable[[Path], None]) -> Path:
    """Return the directory of an exported network, created if it is missing or damaged.

    Concurrent processes that need the same network wait for the first of them.

    Args:
        kind, facts: See `cached`.
        make: Function that writes the files into an empty directory.

    Raises:
        StorageError: The disk is full or read-only.
    """
    from filelock import FileLock

    directory = _directory(kind, facts)
    if _is_complete(directory):
        return directory
    with storing(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{directory}.lock"):
            if _is_complete(directory):  # another process has created it meanwhile
                return directory
            if directory.exists():
                logger.warning("the export in %s is damaged and is created again", directory)
            with atomic_directory(directory) as fresh:
                make(fresh)
                sums = {file.name: sha256_of_file(file) for file in sorted(fresh.iterdir())}
                (fresh / _CHECKSUMS).write_text(json.dumps(sums, indent=2), encoding="utf-8")
    return directory


def _directory(kind: str, facts: Sequence[str]) -> Path:
    digest = hashlib.sha256(json.dumps(list(facts)).encode()).hexdigest()
    return default_cache_home() / "exports" / f"{kind}-{digest[:32]}"


def _is_complete(directory: Path) -> bool:
    """Return whether the files are unchanged since they were written."""
    try:
        sums = json.loads((directory / _CHECKSUMS).read_text(encoding="utf-8"))
        names = {file.name for file in directory.iterdir()} - {_CHECKSUMS}
        return (
            isinstance(sums, dict)
            and bool(sums)
            and names == sums.keys()
            and all(known_sha256(directory / name) == sums[name] for name in names)
        )
    except (OSError, ValueError, RecursionError):
        return False
