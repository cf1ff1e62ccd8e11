"""Disk cache of the features of frozen encoders."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cmr_hub.cache_home import default_cache_home
from cmr_hub.datasets.images import read_image
from cmr_hub.datasets.videos import frame_of
from cmr_hub.encoders.images.concat import ConcatImageEncoder
from cmr_hub.encoders.images.parallel import thread_map
from cmr_hub.errors import ImageError
from cmr_hub.progress import Meter

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import Document, FloatArray, ImageSource

logger = logging.getLogger(__name__)

_CHUNK = 256  # items per commit, which limits what an interrupted run loses
_TABLE = (
    "CREATE TABLE IF NOT EXISTS features"
    " (key BLOB PRIMARY KEY, checksum BLOB NOT NULL, row BLOB NOT NULL) WITHOUT ROWID"
)


def image_key(image: ImageSource) -> bytes:
    """Return the SHA-256 of the bytes of a picture file, or of the RGB pixels of a picture.

    Raises:
        ImageError: The picture cannot be read.
    """
    if isinstance(image, bytes):
        return hashlib.sha256(image).digest()
    if not isinstance(image, str | Path) or frame_of(image) is not None:
        picture = read_image(image)
        return hashlib.sha256(f"{picture.size};".encode() + picture.tobytes()).digest()
    try:
        with Path(image).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ImageError(f"cannot read {str(image)[:1000]}: {error.strerror or error}") from error


def _file_name(name: str, fingerprint: str, placement: Placement) -> str:
    """Return one name per encoder and placement, so that placements never share rows."""
    plain = re.sub(r"[^\w.-]+", "_", name)[-64:].strip("_.")
    suffix = "" if placement.is_reference else f"-{placement.device}-{placement.precision}"
    suffix += "" if placement.backend == "torch" else f"-{placement.backend}"
    return f"{plain}-{fingerprint[:16]}{suffix.replace(':', '_')}.sqlite"


class View(Protocol):
    """A transformation of pictures, such as an augmentation."""

    @property
    def name(self) -> str:
        """Identifier of everything that affects the result."""

    def __call__(self, picture: Image.Image, key: bytes) -> Image.Image:
        """Return the transformed picture; `key` is the hash of its content."""


class FeatureCache:
    """Feature rows by content, in one SQLite file per encoder fingerprint.

    The fingerprint contains the hash of the weights and the settings, so rows are never reused
    after a change of either. Chunks are committed atomically, so an interrupted run loses at most
    one. Each row has a checksum; damaged rows are recomputed. If the cache cannot be written, one
    warning is logged and features are not cached.

    Args:
        home: Folder of caches. Default: `default_cache_home()`.
    """

    def __init__(self, home: str | Path | None = None) -> None:
        self.home = Path(home) if home is not None else default_cache_home()
        self._has_warned = False

    def encode(
        self,
        encoder: ImageEncoder,
        images: Sequence[ImageSource],
        *,
        view: View | None = None,
        progress: bool = False,
    ) -> FloatArray:
        """Return the rows of `encoder.encode(images)`; only missing rows are computed.

        Args:
            encoder: Encoder of pictures.
            images: N pictures.
            view: Transformation of each picture before it is encoded. Default: none.
            progress: Show a progress bar.

        Returns:
            (N, encoder.dim) float32.

        Raises:
            ImageError: A picture cannot be read; rows of pictures before it are cached.
        """
        if isinstance(encoder, ConcatImageEncoder):
            rows = [self.encode(p, images, view=view, progress=progress) for p in encoder.parts]
            return encoder.joined(rows)
        plain = [image_key(image) for image in images]

        def compute(positions: Sequence[int]) -> FloatArray:
            if view is None:
                return encoder.encode([images[row] for row in positions])

            prepare = encoder.preprocessing

            def pixels(row: int) -> npt.NDArray[Any]:
                picture = read_image(images[row], enough=prepare.enough)
                return prepare.pixels(view(picture, plain[row]))

            return encoder.encode_pixels(np.stack(list(thread_map(pixels, positions))))

        keys = plain
        if view is not None:
            keys = [hashlib.sha256(key + view.name.encode()).digest() for key in plain]
        file = _file_name(encoder.name, encoder.fingerprint, encoder.placement)
        return self._rows(file, encoder.dim, keys, compute, progress=progress)

    def encode_texts(
        self, encoder: TextEncoder, documents: Sequence[Document], *, progress: bool = False
    ) -> FloatArray:
        """Return the rows of `encoder.transform(documents)`.

        Only encoders with a fingerprint are cached, which are pretrained and slow. Encoders fitted
        on training texts are fast, and differ between runs.

        Returns:
            (N, encoder.dim) float32.
        """
        if encoder.parts:
            rows = [self.encode_texts(part, documents, progress=progress) for part in encoder.parts]
            return np.hstack(rows)
        if encoder.fingerprint is None:
            return encoder.transform(documents)

        def compute(positions: Sequence[int]) -> FloatArray:
            return encoder.transform([documents[row] for row in positions])

        keys = [hashlib.sha256(json.dumps(list(text)).encode()).digest() for text in documents]
        file = _file_name(encoder.name, encoder.fingerprint, encoder.placement)
        return self._rows(file, encoder.dim, keys, compute, progress=progress)

    def _rows(
        self,
        file: str,
        dim: int,
        keys: Sequence[bytes],
        compute: Callable[[Sequence[int]], FloatArray],
        *,
        progress: bool,
    ) -> FloatArray:
        """Return the (N, dim) rows of these keys; compute and write missing ones in chunks."""
        if not keys:
            return np.empty((0, dim), dtype=np.float32)
        try:
            connection = self._open(self.home / file)
        except (OSError, sqlite3.Error) as error:
            self._warn(f"features are not cached: cannot use {self.home} ({error})")
            connection = sqlite3.connect(":memory:")
            connection.execute(_TABLE)
        with closing(connection):
            try:
                known = self._read(connection, keys, dim)
            except sqlite3.Error as error:
                logger.warning("the feature cache %s cannot be read: %s", self.home / file, error)
                known = {}
            missing = list({key: row for row, key in enumerate(keys) if key not in known}.items())
            title = file.partition("-")[0] + " features"
            with Meter(len(missing), title, "row", show=progress and bool(missing)) as bar:
                for start in range(0, len(missing), _CHUNK):
                    chunk = missing[start : start + _CHUNK]
                    rows = compute([row for _, row in chunk])
                    fresh = dict(zip((key for key, _ in chunk), rows, strict=True))
                    known |= fresh
                    self._write(connection, fresh, file)
                    bar.update(len(chunk))
        return np.stack([known[key] for key in keys])

    def _open(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=60)
        try:
            connection.execute(_TABLE)
            schema = connection.execute("SELECT sql FROM sqlite_master").fetchall()
            # The schema is checked first, because a view of this name could run forever.
            is_valid = schema == [(_TABLE.replace(" IF NOT EXISTS", ""),)] and (
                connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            )
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                connection.close()
                raise
            is_valid = False
        if is_valid:
            return connection
        connection.close()
        logger.warning("the feature cache %s is damaged and is created again", path)
        for file in (path, *(Path(f"{path}-{kind}") for kind in ("journal", "wal", "shm"))):
            file.unlink(missing_ok=True)
        return self._open(path)

    @staticmethod
    def _read(
        connection: sqlite3.Connection, keys: Sequence[bytes], dim: int
    ) -> dict[bytes, FloatArray]:
        known: dict[bytes, FloatArray] = {}
        unique = list(dict.fromkeys(keys))
        for start in range(0, len(unique), _CHUNK):
            chunk = unique[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT key, checksum, row FROM features WHERE key IN ({marks})"  # noqa: S608
            for key, checksum, row in connection.execute(query, chunk):
                if (
                    isinstance(row, bytes)
                    and len(row) == 4 * dim
                    and hashlib.sha256(row).digest() == checksum
                ):
                    known[key] = np.frombuffer(row, dtype="<f4")
        return known

    def _write(
        self, connection: sqlite3.Connection, rows: dict[bytes, FloatArray], file: str
    ) -> None:
        def record(key: bytes, row: FloatArray) -> tuple[bytes, bytes, bytes]:
            content = row.astype("<f4").tobytes()
            return key, hashlib.sha256(content).digest(), content

        try:
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO features VALUES (?, ?, ?)",
                    [record(key, row) for key, row in rows.items()],
                )
        except sqlite3.Error as error:
            self._warn(
                f"features were computed but not cached in {self.home / file} ({error}): free "
                "space there or choose another directory, or they are computed again next time"
            )

    def _warn(self, message: str) -> None:
        if not self._has_warned:
            logger.warning("%s", message)
        self._has_warned = True
