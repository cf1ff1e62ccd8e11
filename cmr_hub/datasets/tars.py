"""Read external uncompressed tar files."""

from __future__ import annotations

import tarfile
from pathlib import Path

from cmr_hub.outside import check_file

DAMAGED = tarfile.TarError, OSError, EOFError, ValueError, OverflowError
"""Exceptions that opening and reading a damaged tar file can raise."""


class _Member(tarfile.TarInfo):
    def _block(self, count: int) -> int:
        # Some releases of Python 3.11 accept it and then loop forever.
        if count < 0:
            raise tarfile.ReadError("a member of negative size")
        found: int = super()._block(count)  # type: ignore[misc]
        return found


def open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar file. Opening it and reading from it can raise any of `DAMAGED`."""
    check_file(path)
    return tarfile.open(path, "r:", tarinfo=_Member)
