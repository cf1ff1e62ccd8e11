"""Index visitors' own pictures, and remove them at the end of the session."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import TYPE_CHECKING, Final

from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.apps.search_page.pictures import LARGE, jpeg
from cmr_hub.apps.search_page.uploads import pictures_in
from cmr_hub.apps.search_page.visitor_files import VisitorFolder, storage_error
from cmr_hub.errors import CMRError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table

if TYPE_CHECKING:
    from PIL import Image

    from cmr_hub.models.cross_modal import CrossModalModel

MAX_PICTURES: Final = 200
MAX_BYTES: Final = 256 * 2**20
"""Maximum total size of the uploads of a session."""
MAX_SESSIONS: Final = 100
MAX_PER_ADDRESS: Final = 20
IDLE_SECONDS: Final = 3600.0
_BATCH_SIZE: Final = 8
_BATCH_PIXELS: Final = 24_000_000


@dataclass(frozen=True)
class Progress:
    """Progress of reading uploads."""

    added: int
    refused: tuple[str, ...]
    """Error messages of unreadable pictures."""
    is_full: bool = False


class OwnPictures:
    """The pictures of one session, in a separate folder.

    Args:
        model: the model of the page.
        files: the visitors' folder, which contains this folder and counts its size.
        address: address of the visitor.
    """

    def __init__(self, model: CrossModalModel, files: VisitorFolder, address: str = "") -> None:
        self.address = address
        self.token = secrets.token_urlsafe(24)
        """Secret in the URLs of the pictures."""
        self.engine = Engine(model, Gallery.create(None, model), token=self.token)
        self.used = time.monotonic()
        self._files = files
        self._folder = TemporaryDirectory(prefix="cmr-session-", dir=files.path)
        self._uploaded, self._stored = 0, 0
        self._lock = RLock()
        self._is_closed = False

    def add(self, paths: Sequence[Path]) -> Iterator[Progress]:
        """Index pictures and zip files in batches, and yield the progress.

        Pictures are encoded again, so that no metadata is stored.
        """
        added = 0
        refused: list[str] = []
        batch: list[tuple[str, Image.Image]] = []
        self._uploaded += sum(path.stat().st_size for path in paths)
        if self._uploaded > MAX_BYTES:
            self._uploaded -= sum(path.stat().st_size for path in paths)
            limit = (
                f"At most {MAX_BYTES // 2**20} MB can be uploaded in one visit; upload fewer files."
            )
            yield Progress(0, (limit,))
            return
        for name, picture in pictures_in(paths):
            if self._is_closed:  # the visitor has left
                yield Progress(added, tuple(refused))
                return
            if isinstance(picture, CMRError):
                refused.append(str(picture))
                continue
            if len(self.engine.gallery) + len(batch) >= MAX_PICTURES:
                added += self._index(batch)
                yield Progress(added, tuple(refused), is_full=True)
                return
            batch.append((name, picture))
            pixels = sum(image.width * image.height for _, image in batch)
            if len(batch) == _BATCH_SIZE or pixels > _BATCH_PIXELS:
                added += self._index(batch)
                batch = []
                yield Progress(added, tuple(refused))
        added += self._index(batch)
        yield Progress(added, tuple(refused))

    def close(self) -> None:
        """Remove the pictures."""
        with self._lock:
            self._is_closed = True
            self._folder.cleanup()
            self._files.release(self._stored)
            self._stored = 0

    def _index(self, pictures: Sequence[tuple[str, Image.Image]]) -> int:
        with self._lock:
            if self._is_closed or not pictures:
                return 0
            gallery, model = self.engine.gallery, self.engine.model
            images = [picture for _, picture in pictures]
            vectors = model.encode_images(images)
            items = []
            for number, (name, image) in enumerate(pictures, len(gallery) + 1):
                path = Path(self._folder.name) / f"{number}.jpg"
                self._write(path, jpeg(image, LARGE))
                items.append(Item(id=str(number), path=path, metadata={"name": name}))
            gallery.add_vectors(items_table(items), image_embeddings=vectors)
            # A new engine has no cached answers from fewer pictures.
            self.engine = Engine(model, gallery, token=self.token)
            return len(items)

    def _write(self, path: Path, data: bytes) -> None:
        self._files.reserve(len(data))
        self._stored += len(data)
        try:
            path.write_bytes(data)
        except OSError as error:
            raise storage_error(error, "the pictures cannot be stored") from error


class Sessions:
    """The pictures of all sessions that have uploaded any.

    Args:
        model: the model of the page.
        files: the visitors' files.
    """

    def __init__(self, model: CrossModalModel, files: VisitorFolder) -> None:
        self._model, self._files = model, files
        self._own: dict[str, OwnPictures] = {}
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._own)

    def find(self, session: str | None) -> OwnPictures | None:
        """Return the pictures of a session, or None."""
        with self._lock:
            own = None if session is None else self._own.get(session)
            if own is not None:
                own.used = time.monotonic()
            return own

    def open(self, session: str | None, address: str = "") -> OwnPictures:
        """Return the pictures of a session, or a new empty collection.

        Args:
            session: hash of the session.
            address: address of the visitor, which may have at most a fifth of all sessions.

        Raises:
            CMRError: there are too many sessions with pictures.
        """
        if session is None:
            raise CMRError("there is no session for your pictures; reload the page")
        with self._lock:
            found = self.find(session)
            if found is None:
                self._drop_idle()
                mine = sum(own.address == address for own in self._own.values())
                if len(self._own) >= MAX_SESSIONS or (address and mine >= MAX_PER_ADDRESS):
                    raise CMRError(
                        "too many visitors are searching their own pictures; try again later"
                    )
                found = OwnPictures(self._model, self._files, address)
                self._own[session] = found
            return found

    def engine(self, token: str) -> Engine | None:
        """Return the engine of the session with this token, or None."""
        with self._lock:
            for own in self._own.values():
                if secrets.compare_digest(own.token.encode(), token.encode("utf-8", "replace")):
                    own.used = time.monotonic()
                    return own.engine
        return None

    def close(self, session: str | None) -> None:
        """Remove a session and its pictures."""
        with self._lock:
            own = None if session is None else self._own.pop(session, None)
        if own is not None:
            own.close()

    def close_all(self) -> None:
        """Remove all sessions."""
        for session in list(self._own):
            self.close(session)

    def _drop_idle(self) -> None:
        """Remove sessions that were never closed."""
        now = time.monotonic()
        for session, own in list(self._own.items()):
            if now - own.used > IDLE_SECONDS:
                self.close(session)
