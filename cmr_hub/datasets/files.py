"""Reading the bytes of a file that came from outside."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_bytes(path: Path, limit: int) -> bytes:
    """All bytes of a regular file of at most `limit` bytes.

    Raises OSError whose text is the reason in plain words, without the path. Folders, pipes and
    devices are refused before they are opened: a pipe would wait for ever.
    """
    try:
        status = path.stat()
        _refuse(status, limit)
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError("there is no such file") from None
    except ValueError:
        raise OSError("the name is not a valid path") from None
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error


def _refuse(status: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    if status.st_size > limit:
        raise OSError(f"it has {status.st_size:,} bytes; the limit is {limit:,}")
