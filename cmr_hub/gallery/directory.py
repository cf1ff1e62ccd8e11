"""The directory of a gallery: one writer at a time, and changes that happen in one step."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cmr_hub.atomic import storing, sync
from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import GalleryInUseError, ModelFormatError
from cmr_hub.gallery.manifest import FILE_NAME, FILE_PATTERN, FileRecord, Manifest, holds_gallery
from cmr_hub.outside import read_bytes
from cmr_hub.writer import this_process

_LOCK, _WRITER = ".lock", ".writer"
_LONGEST_NOTE = 1_000


class GalleryDirectory:
    """Files that are named by their content, and a manifest that says which of them count.

    Writing adds files and then replaces the manifest. Killed at any moment, what is there is the
    older gallery or the newer; files that no manifest names are removed by the next writer.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._lock = FileLock(self.path / _LOCK, timeout=0)

    def claim(self) -> bool:
        """Makes the directory, if need be; tells whether it was not there.

        Raises:
            ModelFormatError: there is something else than a gallery.
        """
        if self.path.exists() and not holds_gallery(self.path):
            kept = {_LOCK, _WRITER}
            if not self.path.is_dir() or any(
                entry.name not in kept and not _is_ours(entry.name) for entry in self.path.iterdir()
            ):
                raise ModelFormatError(
                    f"{self.path} is there and is not a gallery: choose another name"
                )
        is_new = not self.path.exists()
        with storing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        return is_new

    def forget_lock(self) -> None:
        """Removes the file of the lock: only from a directory that nobody else knows of yet."""
        (self.path / _LOCK).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the writer's lock, which goes with the process; may be entered again within.

        Raises:
            GalleryInUseError: another process holds it.
            ModelFormatError: the lock, or the note beside it, is a link: what it leads to would
                be overwritten.
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
                "Searching goes on meanwhile"
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
        """Writes a file, safely on the disk, under a name made of its content.

        Raises:
            StorageError: the disk is full, or may only be read.
        """
        temporary = self.path / f".{kind}.{secrets.token_hex(8)}.tmp"
        with storing(self.path / f"{kind}.{suffix}"):
            try:
                write(temporary)
                sync(temporary)
                sha256 = sha256_of_file(temporary)
                name = f"{kind}-{sha256[:16]}.{suffix}"
                size = temporary.stat().st_size
                temporary.replace(self.path / name)
            finally:
                temporary.unlink(missing_ok=True)
        return name, FileRecord(sha256=sha256, bytes=size)

    def commit(self, manifest: Manifest) -> None:
        """From now on the gallery is what this manifest says."""
        sync(self.path)
        manifest.write(self.path)
        for entry in self.path.iterdir():
            if _is_ours(entry.name) and entry.name not in manifest.files:
                with suppress(OSError):  # where a file in use cannot be removed, the next will
                    entry.unlink()

    def clear(self) -> None:
        """Removes all files of the gallery, the manifest first: then there is none any more."""
        (self.path / FILE_NAME).unlink(missing_ok=True)
        for entry in self.path.iterdir():
            if _is_ours(entry.name):
                entry.unlink()


def _is_ours(name: str) -> bool:
    return FILE_PATTERN.fullmatch(name) is not None or (
        name.startswith(".") and name.endswith(".tmp")
    )
