"""One writer at a time in a folder, and who it is."""

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
    """What others are told of a process that writes."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def sole_writer(folder: str | Path, instead: str) -> Iterator[None]:
    """Keeps other processes from writing into a folder, which is made if need be.

    It is free as soon as this process ends, however it ends. If it is empty at the end it goes.

    Args:
        folder: where to write.
        instead: what another process can do but wait.

    Raises:
        InUseError: another process writes there; it is named.
        StorageError: the disk is full, or may only be read.
    """
    home = Path(folder).absolute()
    note = home / _NOTE
    lock = FileLock(home / _LOCK, timeout=0)
    try:
        with storing(home):
            _acquire(lock, home)
            note.unlink(missing_ok=True)  # it may be a link to a file of somebody's
            note.write_text(this_process(), encoding="utf-8")
    except Timeout as error:
        writer = "another process"
        with suppress(OSError):
            writer = read_bytes(note, _LONGEST_NOTE).decode(errors="replace") or writer
        raise InUseError(
            f"{writer} writes into {home}; wait until it has finished, stop it, or {instead}"
        ) from error
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
        with suppress(OSError):  # Windows removes it when it is freed
            (home / _LOCK).unlink()
        lock.release()
        with suppress(OSError):  # it is not empty
            home.rmdir()


def _acquire(lock: FileLock, home: Path) -> None:
    while True:
        home.mkdir(parents=True, exist_ok=True)
        if (home / _LOCK).is_symlink():
            (home / _LOCK).unlink()
        with suppress(FileNotFoundError):  # whoever held it has removed the folder meanwhile
            lock.acquire()
            return
