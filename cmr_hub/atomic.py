"""Writing so that a crash leaves the old or the new, never half."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cmr_hub.errors import StorageError

_TEMPORARY = re.compile(r"(?P<stem>\.(?P<name>.+)\.(?:[0-9a-f]{16}|[0-9a-z_]{8}))(?:\.lock)?\.tmp")
_PAUSE = 5.0  # seconds between two looks at a folder
_next_look: dict[Path, float] = {}

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of the errors of a disk, or of a file, that cannot grow."""
_FORBIDDEN = {errno.EACCES, errno.EPERM}


@contextmanager
def storing(path: str | Path) -> Iterator[None]:
    """Tells what to do where `path` cannot be written; by itself Python does not even name it.

    Raises:
        StorageError: instead of the OSError of a full disk, or of one that may only be read.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            advice = "make room there and give the command again; what was finished is kept"
        elif error.errno == errno.EROFS or (
            error.errno in _FORBIDDEN and _is_near(error.filename, Path(path).resolve())
        ):
            advice = "choose a place that may be written to"
        else:
            raise
        reason = os.strerror(error.errno)
        raise StorageError(f"cannot write {path}: {reason}; {advice}") from error


def _is_near(culprit: object, path: Path) -> bool:
    """Whether a forbidden file is in the folder of `path` or above it, and not one to be read."""
    if not isinstance(culprit, str | os.PathLike):
        return False
    found = Path(culprit).resolve()
    return found.is_relative_to(path.parent) or path.is_relative_to(found)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    is_windows = os.name == "nt"
    if is_windows and path.is_dir():  # Windows has no such call for a folder
        return
    handle = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it takes `path`'s place.

    On any error the temporary file goes and `path` is as it was. What a killed process has left of
    an earlier attempt goes too.

    Raises:
        StorageError: the disk is full, or may only be read.
    """
    with _temporary(path) as (target, temporary):
        try:
            temporary.touch(exist_ok=False)
            yield temporary
            sync(temporary)
            temporary.replace(target)
            sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yields an empty temporary directory beside `path`; on success it takes `path`'s place.

    An older directory at `path` is moved aside first and removed last. A process killed between
    these two renames leaves it in `.<name>.*.tmp/old`; the next writer puts it back.

    Raises:
        StorageError: the disk is full, or may only be read.
    """
    with _temporary(path) as (target, workshop):
        fresh, old = workshop / "new", workshop / "old"
        try:
            workshop.mkdir(mode=0o700)
            fresh.mkdir()
            yield fresh
            for written in fresh.rglob("*"):
                if written.is_file():
                    sync(written)
            if target.exists():
                target.rename(old)
            fresh.rename(target)
        finally:
            if old.exists() and not target.exists():
                old.rename(target)
            shutil.rmtree(workshop, ignore_errors=True)


@contextmanager
def _temporary(path: str | Path) -> Iterator[tuple[Path, Path]]:
    """The resolved path, and a new name beside it that no other process clears up meanwhile."""
    target = Path(path).resolve()
    with storing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_up(target.parent)
        stem = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        lock = _lock(stem)
        with suppress(OSError):  # a disk without locks: nobody clears up there
            lock.acquire()
        try:
            yield target, stem.with_name(f"{stem.name}.tmp")
        finally:
            _end(lock)


def _lock(stem: Path) -> FileLock:
    """Of a temporary file or folder: free when its process ends, however it ends."""
    return FileLock(stem.with_name(f"{stem.name}.lock.tmp"), timeout=0)


def _end(lock: FileLock) -> None:
    """Frees a lock, and removes its file."""
    with suppress(OSError):  # Windows removes it when it is freed
        Path(lock.lock_file).unlink()
    lock.release()


def _clear_up(folder: Path) -> None:
    """Removes what killed processes have left; what they had moved aside comes back.

    A folder is looked through once in a while only: thousands of files may be written into it.
    """
    now = time.monotonic()
    if now < _next_look.get(folder, 0.0):
        return
    _next_look[folder] = now + _PAUSE
    with suppress(OSError):  # it is for the next one then
        matches = map(_TEMPORARY.fullmatch, [left.name for left in folder.iterdir()])
        for stem, name in {(found["stem"], found["name"]) for found in matches if found}:
            lock = _lock(folder / stem)
            try:
                lock.acquire()
            except Timeout:  # somebody is at work
                continue
            try:
                _remove(folder / f"{stem}.tmp", folder / name)
            finally:
                _end(lock)


def _remove(left: Path, target: Path) -> None:
    """Removes a temporary file or folder; an older `target` in it comes back."""
    if left.is_symlink() or not left.is_dir():
        left.unlink(missing_ok=True)
        return
    if (left / "old").exists() and not target.exists():
        (left / "old").rename(target)
    shutil.rmtree(left, ignore_errors=True)
