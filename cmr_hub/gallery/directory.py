"""Directory of a gallery, with a writer lock and atomic commits."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cmr_hub.atomic import move, storing, sync
from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import GalleryInUseError, ModelFormatError
from cmr_hub.gallery.manifest import FILE_NAME, FILE_PATTERN, FileRecord, Manifest, holds_gallery
from cmr_hub.outside import read_bytes
from cmr_hub.writer import this_process

_LOCK, _WRITER = ".lock", ".writer"
_LONGEST_NOTE = 1_000


class GalleryDirectory:
    """Content-addressed files, and a manifest that lists the files in use.

    A write adds files and then replaces the manifest. If the process is killed, the directory
    has either the old or the new gallery. The next writer removes files that are not listed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._lock = FileLock(self.path / _LOCK, timeout=0)

    def claim(self) -> bool:
        """Create the directory if it does not exist; return whether it is new.

        Raises:
            ModelFormatError: the path exists and is not a gallery.
        """
        if self.path.exists() and not holds_gallery(self.path):
            lock_files = {_LOCK, _WRITER}
            if not self.path.is_dir() or any(
                entry.name not in lock_files and not _is_ours(entry.name)
                for entry in self.path.iterdir()
            ):
                raise ModelFormatError(
                    f"{self.path} exists and is not a gallery: choose another name"
                )
        is_new = not self.path.exists()
        with storing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        return is_new

    def forget_lock(self) -> None:
        """Remove the lock file, which is only safe if no other process uses the directory yet."""
        (self.path / _LOCK).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer lock, which is reentrant and is released when the process ends.

        Raises:
            GalleryInUseError: another process holds the lock.
            ModelFormatError: a lock file is a link, whose target would be overwritten.
        """
        for name in (_LOCK, _WRITER):
            if (self.path / name).is_symlink():
                raise ModelFormatError(f"{self.path / name} is a link; remove it")
        try:
            with storing(self.path):
                self._lock.acquire()
        except Timeout as error:
            writer = "another process"
            with suppress(OSError):
                note = read_bytes(self.path / _WRITER, _LONGEST_NOTE, below=self.path)
                writer = note.decode(errors="replace") or writer
            raise GalleryInUseError(
                f"{writer} is writing to {self.path}: wait until it has finished, or stop it. "
                "The gallery can still be searched"
            ) from error
        is_outermost = self._lock.lock_counter == 1
        try:
            if is_outermost:
                with storing(self.path):
                    (self.path / _WRITER).write_text(this_process(), encoding="utf-8")
            yield
        finally:
            if is_outermost:
                (self.path / _WRITER).unlink(missing_ok=True)
            self._lock.release()

    def add(self, kind: str, suffix: str, write: Callable[[Path], None]) -> tuple[str, FileRecord]:
        """Write a file, sync it to disk and name it after its checksum.

        Raises:
            StorageError: the disk is full or read-only.
        """
        temporary = self.path / f".{kind}.{secrets.token_hex(8)}.tmp"
        with storing(self.path / f"{kind}.{suffix}"):
            try:
                write(temporary)
                sync(temporary)
                sha256 = sha256_of_file(temporary)
                name = f"{kind}-{sha256[:16]}.{suffix}"
                size = temporary.stat().st_size
                target = self.path / name
                # Windows cannot replace a memory-mapped file.
                if not (target.is_file() and sha256_of_file(target) == sha256):
                    move(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
        return name, FileRecord(sha256=sha256, bytes=size)

    def commit(self, manifest: Manifest) -> None:
        """Replace the manifest and remove the files that it does not list."""
        sync(self.path)
        manifest.write(self.path)
        for entry in self.path.iterdir():
            if _is_ours(entry.name) and entry.name not in manifest.files:
                with suppress(OSError):  # if the file is in use, the next writer removes it
                    entry.unlink()

    def clear(self) -> None:
        """Remove all files of the gallery. The manifest is first, so that no partial gallery
        remains."""
        (self.path / FILE_NAME).unlink(missing_ok=True)
        for entry in self.path.iterdir():
            if _is_ours(entry.name):
                entry.unlink()


def _is_ours(name: str) -> bool:
    return FILE_PATTERN.fullmatch(name) is not None or (
        name.startswith(".") and name.endswith(".tmp")
    )
