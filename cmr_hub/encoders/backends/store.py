"""Where exported networks are kept: each is made once, and checked whenever it is read."""

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

logger = logging.getLogger(__name__)

_CHECKSUMS: Final = "checksums.json"


def found(kind: str, facts: Sequence[str]) -> Path | None:
    """The directory of an exported network; None where it is not there or is damaged.

    Args:
        kind: what the directory's name begins with.
        facts: all that its files depend on.
    """
    directory = _directory(kind, facts)
    return directory if _is_whole(directory) else None


def kept(kind: str, facts: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The directory of an exported network, made if it is not there or is damaged.

    Processes that want the same one at once wait for the first of them.

    Args:
        kind, facts: see `found`.
        make: writes them into an empty directory.

    Raises:
        StorageError: the disk is full, or may only be read.
    """
    from filelock import FileLock

    directory = _directory(kind, facts)
    if _is_whole(directory):
        return directory
    with storing(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{directory}.lock"):
            if _is_whole(directory):  # another process has made it meanwhile
                return directory
            if directory.exists():
                logger.warning("the export in %s is damaged and is made anew", directory)
            with atomic_directory(directory) as fresh:
                make(fresh)
                sums = {file.name: sha256_of_file(file) for file in sorted(fresh.iterdir())}
                (fresh / _CHECKSUMS).write_text(json.dumps(sums, indent=2), encoding="utf-8")
    return directory


def _directory(kind: str, facts: Sequence[str]) -> Path:
    digest = hashlib.sha256(json.dumps(list(facts)).encode()).hexdigest()
    return default_cache_home() / "exports" / f"{kind}-{digest[:32]}"


def _is_whole(directory: Path) -> bool:
    """Whether its files are those that were written, to the byte."""
    try:
        sums = json.loads((directory / _CHECKSUMS).read_text(encoding="utf-8"))
        there = {file.name for file in directory.iterdir()} - {_CHECKSUMS}
        return (
            isinstance(sums, dict)
            and bool(sums)
            and there == sums.keys()
            and all(sha256_of_file(directory / name) == sums[name] for name in there)
        )
    except (OSError, ValueError, RecursionError):
        return False
