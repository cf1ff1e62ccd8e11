"""Atomic writes: a crash leaves either the old or the new content."""

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
_PAUSE = 5.0  # minimum seconds between two clean-ups of a folder
_WAITS = (0.01, 0.05, 0.2, 1.0) if os.name == "nt" else ()
"""Seconds between attempts to replace a file; Windows refuses while another process reads it."""
_next_cleanup: dict[Path, float] = {}

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a disk or file that cannot grow."""
_FORBIDDEN = {errno.EACCES, errno.EPERM}


@contextmanager
def storing(path: str | Path) -> Iterator[None]:
    """Convert errors of a full or read-only disk to ones that name `path` and say what to do.

    Raises:
        StorageError: instead of the OSError of a full or read-only disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            advice = "free some space and run the command again; finished work is kept"
        elif error.errno == errno.EROFS or (
            error.errno in _FORBIDDEN and _is_near(error.filename, Path(path).resolve())
        ):
            advice = "choose a writable location"
        else:
            raise
        reason = os.strerror(error.errno)
        raise StorageError(f"cannot write {path}: {reason}; {advice}") from error


def _is_near(culprit: object, path: Path) -> bool:
    """Return whether a forbidden file is in the folder of `path` or above, not an input file."""
    if not isinstance(culprit, str | os.PathLike):
        return False
    resolved = Path(culprit).resolve()
    return resolved.is_relative_to(path.parent) or path.is_relative_to(resolved)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    is_windows = os.name == "nt"
    if is_windows and path.is_dir():  # not supported by Windows
        return
    handle = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move(source: Path, target: Path) -> None:
    """Rename a file over another; on Windows, wait until its readers have closed it."""
    for pause in _WAITS:
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    source.replace(target)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, and move it to `path` on success.

    On any error the temporary file is removed and `path` is unchanged. Temporary files left by
    killed processes are removed too.

    Raises:
        StorageError: the disk is full or read-only.
    """
    with _temporary(path) as (target, temporary):
        try:
            temporary.touch(exist_ok=False)
            yield temporary
            sync(temporary)
            move(temporary, target)
            sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary directory in the parent of `path`, and move it there on success.

    An existing directory is first renamed and finally removed. If the process is killed between
    the two renames, it stays in `.<name>.*.tmp/old` until the next writer restores it.

    Raises:
        StorageError: the disk is full or read-only.
    """
    with _temporary(path) as (target, workspace):
        fresh, old = workspace / "new", workspace / "old"
        try:
            workspace.mkdir(mode=0o700)
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
            shutil.rmtree(workspace, ignore_errors=True)


@contextmanager
def _temporary(path: str | Path) -> Iterator[tuple[Path, Path]]:
    """Yield the resolved path and a temporary path, locked against clean-up by other processes."""
    target = Path(path).resolve()
    with storing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        _clean_up(target.parent)
        stem = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        lock = _lock(stem)
        with suppress(OSError):  # a file system without locks, which is never cleaned up
            lock.acquire()
        try:
            yield target, stem.with_name(f"{stem.name}.tmp")
        finally:
            _release(lock)


def _lock(stem: Path) -> FileLock:
    """Return the lock of a temporary path; the system releases it when its process ends."""
    return FileLock(stem.with_name(f"{stem.name}.lock.tmp"), timeout=0)


def _release(lock: FileLock) -> None:
    """Release a lock and remove its file."""
    with suppress(OSError):  # Windows removes the file on release
        Path(lock.lock_file).unlink()
    lock.release()


def _clean_up(folder: Path) -> None:
    """Remove temporary files of killed processes and restore directories that they had renamed.

    A folder is scanned at most every `_PAUSE` seconds, as thousands of files may be written to it.
    """
    now = time.monotonic()
    if now < _next_cleanup.get(folder, 0.0):
        return
    _next_cleanup[folder] = now + _PAUSE
    with suppress(OSError):  # left to the next writer
        matches = map(_TEMPORARY.fullmatch, [entry.name for entry in folder.iterdir()])
        for stem, name in {(found["stem"], found["name"]) for found in matches if found}:
            lock = _lock(folder / stem)
            try:
                lock.acquire()
            except Timeout:  # in use by another process
                continue
            try:
                _remove(folder / f"{stem}.tmp", folder / name)
            finally:
                _release(lock)


def _remove(temporary: Path, target: Path) -> None:
    """Remove a temporary file or folder; restore the old `target` from it if necessary."""
    if temporary.is_symlink() or not temporary.is_dir():
        temporary.unlink(missing_ok=True)
        return
    if (temporary / "old").exists() and not target.exists():
        (temporary / "old").rename(target)
    shutil.rmtree(temporary, ignore_errors=True)
