"""Uncompressed tar files from outside."""

from __future__ import annotations

import tarfile
from pathlib import Path

from cmr_hub.outside import check_file

DAMAGED = tarfile.TarError, OSError, EOFError, ValueError, OverflowError
"""What reading a damaged tar file can raise: its numbers are read as Python reads numbers."""


class _Member(tarfile.TarInfo):
    def _block(self, count: int) -> int:
        # Not every Python 3.11 refuses it: the reader would go back, and round and round.
        if count < 0:
            raise tarfile.ReadError("a member of negative size")
        found: int = super()._block(count)  # type: ignore[misc]
        return found


def open_tar(path: Path) -> tarfile.TarFile:
    """The tar file, to be read. Raises one of `DAMAGED`, and so may all that is done with it."""
    check_file(path)
    return tarfile.open(path, "r:", tarinfo=_Member)
