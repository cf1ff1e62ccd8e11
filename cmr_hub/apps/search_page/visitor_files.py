"""What visitors send, in one folder that goes with the page, and nobody else's."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import BinaryIO, Final

from filelock import FileLock, Timeout

from cmr_hub.errors import CMRError, StorageError

MAX_FOLDER: Final = 2 * 2**30
MAX_OF_ADDRESS: Final = MAX_FOLDER // 4
KEPT_SECONDS: Final = 3600.0
_PREFIX: Final = "cmr-page-"
_LOCK: Final = "in-use"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
FULL: Final = (
    "the page has no room for more pictures now; try again later, or ask whoever runs it to make "
    "room in its temporary folder"
)
NOT_YOURS: Final = "give a file that you have sent to this page in this visit"


class FullError(StorageError):
    """There is no room for what a visitor has sent."""


@dataclass
class _Upload:
    size: int
    address: str | None
    kept: float
    owner: str | None = None
    """The session that has used it first."""


class VisitorFolder:
    """The folder of one running page: uploads, and the pictures of the sessions.

    It is removed when the page is closed. What a page left that was killed is removed when the
    next one starts: it holds a lock as long as its process lives.

    Args:
        most: bytes in all.
    """

    def __init__(self, most: int = MAX_FOLDER) -> None:
        parent = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            _sweep(parent)
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
            # Whoever closes the page may do so in another thread.
            held = FileLock(self.path / _LOCK, thread_local=False)
            held.acquire()
        except OSError as error:
            raise StorageError(
                f"cannot write to the temporary folder {parent}: {error.strerror}; set TMPDIR to "
                "a folder with room"
            ) from error
        # Also where nobody closes it, at the end of the process at the latest.
        self._removed = weakref.finalize(self, _remove, self.path, held)
        self._most, self._used = most, 0
        self._uploads: dict[str, _Upload] = {}
        self._lock = RLock()

    def keep(self, name: str, data: BinaryIO, address: str | None = None) -> str:
        """Keeps a file, and gives the path that it is known by from now on.

        Nobody can guess the path: it is what its visitor shows to use the file again.

        Raises:
            FullError: there is no room.
        """
        self._drop_old()
        size = data.seek(0, os.SEEK_END)
        data.seek(0)
        with self._lock:
            of_address = sum(one.size for one in self._uploads.values() if one.address == address)
            if address and of_address + size > MAX_OF_ADDRESS:
                raise FullError(FULL)
        self.reserve(size)
        folder = self.path / secrets.token_urlsafe(24)
        path = folder / (_safe(name) or "file")
        try:
            folder.mkdir()
            with path.open("xb") as file:
                shutil.copyfileobj(data, file)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            self.release(size)
            raise _full(error) from error
        with self._lock:
            self._uploads[str(path)] = _Upload(size, address, time.monotonic())
        return str(path)

    def claim(self, path: object, session: str | None) -> str:
        """The path of an upload, for the session that uses it.

        A path is compared with those that were given out, and no file is looked at: all others
        get one answer, whether there is such a file or not.

        Raises:
            CMRError: it is not an upload of this session.
        """
        with self._lock:
            found = self._uploads.get(path) if isinstance(path, str) else None
            if found is None or found.owner not in (None, session):
                raise CMRError(NOT_YOURS)
            found.owner = session
            return str(path)

    def has(self, path: str) -> bool:
        """Whether this is the path of an upload."""
        with self._lock:
            return path in self._uploads

    def remove(self, paths: Iterable[str]) -> None:
        """Removes uploads; any other path is left alone."""
        with self._lock:
            for path in paths:
                found = self._uploads.pop(path, None)
                if found is not None:
                    shutil.rmtree(Path(path).parent, ignore_errors=True)
                    self.release(found.size)

    def forget(self, session: str | None) -> None:
        """Removes the uploads of a session."""
        if session is not None:
            with self._lock:
                self.remove([path for path, one in self._uploads.items() if one.owner == session])

    def reserve(self, size: int) -> None:
        """Takes room for so many bytes.

        Raises:
            FullError: there is none.
        """
        with self._lock:
            if self._used + size > self._most:
                raise FullError(FULL)
            self._used += size

    def release(self, size: int) -> None:
        """Gives room back."""
        with self._lock:
            self._used -= size

    def close(self) -> None:
        """Removes the folder and all that is in it."""
        self._removed()

    def _drop_old(self) -> None:
        oldest = time.monotonic() - KEPT_SECONDS
        with self._lock:
            self.remove([path for path, one in self._uploads.items() if one.kept < oldest])


def no_room(error: BaseException) -> bool:
    """Whether an error says that a disk is full."""
    return isinstance(error, FullError) or (isinstance(error, OSError) and error.errno in _NO_ROOM)


def _full(error: OSError) -> CMRError:
    return FullError(FULL) if no_room(error) else StorageError("the file cannot be kept")


def _safe(name: str) -> str:
    """A name of a file without folders and without what file systems dislike."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(letter for letter in last if letter.isalnum() or letter in " ._-()")
    stem, dot, suffix = kept.strip(". ").rpartition(".")
    # Letters may take four bytes, and a name of a file no more than 255.
    return f"{stem[:40]}{dot}{suffix[:10]}"


def _remove(folder: Path, held: FileLock) -> None:
    held.release()
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Removes the folders of pages that are no longer there."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            # A page that has just made its folder has no lock yet.
            if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime < 60:
                continue
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
