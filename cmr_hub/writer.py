"""One writer at a time in a folder, and who it is."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cmr_hub.atomic import storing
from cmr_hub.errors import InUseError
from cmr_hub.outside import read_bytes

_NOTE = ".writer"
_LONGEST_NOTE = 1_000


def this_process() -> str:
    """What others are told of a process that writes."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def sole_writer(folder: str | Path, instead: str) -> Iterator[None]:
    """Keeps other processes from writing into a folder, which is made if need be.

    The folder itself is held: it is free as soon as this process ends, however it ends. If it is
    empty at the end it goes.

    Args:
        folder: where to write.
        instead: what another process can do but wait.

    Raises:
        InUseError: another process writes there; it is named.
        StorageError: the disk is full, or may only be read.
    """
    home = Path(folder).absolute()
    note = home / _NOTE
    handle = _held(home, note, instead)
    try:
        with storing(home):
            note.unlink(missing_ok=True)  # it may be a link to a file of somebody's
            note.write_text(this_process(), encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty
            home.rmdir()
        os.close(handle)


def _held(home: Path, note: Path, instead: str) -> int:
    while True:
        with storing(home):
            home.mkdir(parents=True, exist_ok=True)
            handle = os.open(home, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed it since it was opened.
            if home.exists() and os.path.samestat(os.fstat(handle), home.stat()):
                return handle
        except BlockingIOError as error:
            os.close(handle)
            writer = "another process"
            with suppress(OSError):
                writer = read_bytes(note, _LONGEST_NOTE).decode(errors="replace") or writer
            raise InUseError(
                f"{writer} writes into {home}; wait until it has finished, stop it, or {instead}"
            ) from error
        os.close(handle)
