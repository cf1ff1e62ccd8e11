"""Read external uncompressed tar files."""

from __future__ import annotations

import tarfile
from pathlib import Path

from cmr_hub.outside import check_file

DAMAGED = tarfile.TarError, OSError, EOFError, ValueError, OverflowError
"""Exceptions on damaged tar files, whose numbers are parsed by Python's own functions."""


class _Member(tarfile.TarInfo):
    def _block(self, count: int) -> int:
        # Not every Python 3.11 refuses it, and the reader would then loop for ever.
        if count < 0:
            raise tarfile.ReadError("a member of negative size")
        found: int = super()._block(count)  # type: ignore[misc]
        return found


def open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar file for reading. This, and all reading from it, can raise one of `DAMAGED`."""
    check_file(path)
    return tarfile.open(path, "r:", tarinfo=_Member)
