"""Store visitors' files in a folder that is removed when the page is closed."""

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
MAX_PER_ADDRESS: Final = MAX_FOLDER // 4
STORED_SECONDS: Final = 3600.0
_PREFIX: Final = "cmr-page-"
_LOCK: Final = "in-use"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
FULL: Final = (
    "the page has no space for more pictures; try again later, or ask the operator to free space "
    "in the temporary folder"
)
NOT_YOURS: Final = "use a file that you have uploaded to this page in this visit"


class FullError(StorageError):
    """Error for a full folder or disk."""


@dataclass
class _Upload:
    size: int
    address: str | None
    stored: float
    owner: str | None = None
    """The first session that used the upload."""


class VisitorFolder:
    """The folder of a running page with its uploads and the pictures of its sessions.

    The folder is removed when the page is closed. A page locks its folder until the process ends.
    If a process was killed, the next page that starts removes the unlocked folder.

    Args:
        most: maximum total size of the files in bytes.
    """

    def __init__(self, most: int = MAX_FOLDER) -> None:
        parent = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            _sweep(parent)
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
            # The page may be closed from another thread.
            lock = FileLock(self.path / _LOCK, thread_local=False)
            lock.acquire()
        except OSError as error:
            raise StorageError(
                f"cannot write to the temporary folder {parent}: {error.strerror}; set TMPDIR to "
                "a folder with free space"
            ) from error
        # Remove the folder at the end of the process if the page was not closed.
        self._remove_folder = weakref.finalize(self, _remove, self.path, lock)
        self._max_bytes, self._used = most, 0
        self._uploads: dict[str, _Upload] = {}
        self._lock = RLock()

    def keep(self, name: str, data: BinaryIO, address: str | None = None) -> str:
        """Store a file and return its path.

        The path cannot be guessed. Knowing it authorises the visitor to use the file.

        Raises:
            FullError: there is not enough space.
        """
        self._drop_old()
        size = data.seek(0, os.SEEK_END)
        data.seek(0)
        with self._lock:
            used_by_address = sum(
                one.size for one in self._uploads.values() if one.address == address
            )
            if address and used_by_address + size > MAX_PER_ADDRESS:
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
            raise storage_error(error, "the file cannot be stored") from error
        with self._lock:
            self._uploads[str(path)] = _Upload(size, address, time.monotonic())
        return str(path)

    def claim(self, path: object, session: str | None) -> str:
        """Check that a session may use an upload, and return its path.

        The check does not access the disk, so that the error does not reveal whether other files
        exist.

        Raises:
            CMRError: the path is not an upload of this session.
        """
        with self._lock:
            upload = self._uploads.get(path) if isinstance(path, str) else None
            if upload is None or upload.owner not in (None, session):
                raise CMRError(NOT_YOURS)
            upload.owner = session
            return str(path)

    def has(self, path: str) -> bool:
        """Return whether an upload with this path exists."""
        with self._lock:
            return path in self._uploads

    def remove(self, paths: Iterable[str]) -> None:
        """Remove uploads; other paths are ignored."""
        with self._lock:
            for path in paths:
                upload = self._uploads.pop(path, None)
                if upload is not None:
                    shutil.rmtree(Path(path).parent, ignore_errors=True)
                    self.release(upload.size)

    def forget(self, session: str | None) -> None:
        """Remove the uploads of a session."""
        if session is not None:
            with self._lock:
                self.remove([path for path, one in self._uploads.items() if one.owner == session])

    def reserve(self, size: int) -> None:
        """Reserve space for `size` bytes.

        Raises:
            FullError: there is not enough space.
        """
        with self._lock:
            if self._used + size > self._max_bytes:
                raise FullError(FULL)
            self._used += size

    def release(self, size: int) -> None:
        """Free reserved space."""
        with self._lock:
            self._used -= size

    def close(self) -> None:
        """Remove the folder and its files."""
        self._remove_folder()

    def _drop_old(self) -> None:
        oldest = time.monotonic() - STORED_SECONDS
        with self._lock:
            self.remove([path for path, one in self._uploads.items() if one.stored < oldest])


def no_room(error: BaseException) -> bool:
    """Return whether the folder or the disk is full."""
    return isinstance(error, FullError) or (isinstance(error, OSError) and error.errno in _NO_ROOM)


def storage_error(error: OSError, message: str) -> StorageError:
    """Return FullError if there is no space, and StorageError with the message otherwise."""
    return FullError(FULL) if no_room(error) else StorageError(message)


def _safe(name: str) -> str:
    """Remove folders, and characters that file systems forbid, from a file name."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    allowed = "".join(letter for letter in last if letter.isalnum() or letter in " ._-()")
    stem, dot, suffix = allowed.strip(". ").rpartition(".")
    # A character may take four bytes, and a file name may have at most 255.
    return f"{stem[:40]}{dot}{suffix[:10]}"


def _remove(folder: Path, lock: FileLock) -> None:
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove the folders of pages whose process has ended."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            # A page that has just created its folder may not have locked it yet.
            if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime < 60:
                continue
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
