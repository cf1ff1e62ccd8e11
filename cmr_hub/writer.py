"""An exclusive lock on a folder, which records its owner."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cmr_hub.atomic import storing
from cmr_hub.errors import InUseError
from cmr_hub.outside import read_bytes

_LOCK, _NOTE = ".writer.lock", ".writer"
_LONGEST_NOTE = 1_000


def this_process() -> str:
    """Return a description of this process for messages to others."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def exclusive_lock(folder: str | Path, instead: str) -> Iterator[None]:
    """Lock a folder against other writers; create it if needed, and remove it if left empty.

    The system releases the lock when this process ends, even if it is killed.

    Args:
        folder: folder to lock.
        instead: what the user can do instead of waiting for another process, for the message.

    Raises:
        InUseError: another process holds the lock; the message names it.
        StorageError: the disk is full or read-only.
    """
    home = Path(folder).absolute()
    note = home / _NOTE
    lock = FileLock(home / _LOCK, timeout=0)
    try:
        with storing(home):
            _acquire(lock, home)
            note.unlink(missing_ok=True)  # it may be a link to another file
            note.write_text(this_process(), encoding="utf-8")
    except Timeout as error:
        writer = "another process"
        with suppress(OSError):
            writer = read_bytes(note, _LONGEST_NOTE).decode(errors="replace") or writer
        raise InUseError(
            f"{writer} is writing to {home}; wait until it has finished, stop it, or {instead}"
        ) from error
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
        with suppress(OSError):  # Windows removes the file on release
            (home / _LOCK).unlink()
        lock.release()
        with suppress(OSError):  # not empty
            home.rmdir()


def _acquire(lock: FileLock, home: Path) -> None:
    while True:
        home.mkdir(parents=True, exist_ok=True)
        if (home / _LOCK).is_symlink():
            (home / _LOCK).unlink()
        with suppress(FileNotFoundError):  # the previous owner removed the folder meanwhile
            lock.acquire()
            return
