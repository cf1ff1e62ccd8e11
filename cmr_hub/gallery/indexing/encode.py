"""Encode pictures on this machine."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cmr_hub.encoders.images.parallel import pieces_in_work, thread_map
from cmr_hub.errors import CMRError
from cmr_hub.gallery.indexing.decode import Decoded, Decoders

if TYPE_CHECKING:
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.gallery.indexing.entry import Entry
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.models.towers import ImageTower
    from cmr_hub.types import FloatArray


@dataclass(frozen=True, eq=False)
class Encoded:
    """Features of a picture, or the reason why it cannot be read.

    Attributes:
        sha256: SHA-256 of the file; "" if it cannot be read.
        features: (dim,) output of the image encoder. It is not projected, because projecting many
            at once is faster. None if there is a problem or the content is known.
        problem: reason why the picture cannot be read.
        facts: facts about the picture; see `Decoded.facts`.
    """

    sha256: str
    features: FloatArray | None
    problem: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Encoding(AbstractContextManager["Encoding"]):
    """A backend that decodes and encodes pictures. The context stops its workers."""

    @abstractmethod
    def expect(self, count: int) -> None:
        """Start the workers if it saves time for `count` or more pictures."""

    @abstractmethod
    def encoded(
        self, entries: Sequence[Entry], known: Container[str]
    ) -> Iterator[tuple[Entry, Encoded]]:
        """Encode the pictures of all entries, in any order.

        Args:
            entries: pictures.
            known: SHA-256 of contents whose vectors are already stored.

        Raises:
            CMRError: the workers failed.
        """


class EncodingHere(Encoding):
    """Encodes in this process, while workers decode.

    Args:
        model: a model with an image encoder.
        workers: number of decoding processes. Default: one per two cores.
        ocr: read the text in the pictures.

    Raises:
        CMRError: the model cannot encode pictures.
    """

    def __init__(
        self, model: CrossModalModel, workers: int | None = None, *, ocr: bool = False
    ) -> None:
        self.encoder = image_encoder_of(model.image)
        # Two batches at a time, because each transfer delays the encoder.
        size = 2 * self.encoder.placement.batch_size(self.encoder.batch_size)
        workers = workers or max(1, (os.cpu_count() or 1) // 2)
        self.decoders = Decoders(
            self.encoder.preprocessing, size, workers, pieces_in_work(), ocr=ocr
        )

    def __exit__(self, *error: object) -> None:
        self.decoders.__exit__(*error)

    def expect(self, count: int) -> None:
        self.decoders.expect(count)

    def encoded(
        self, entries: Sequence[Entry], known: Container[str]
    ) -> Iterator[tuple[Entry, Encoded]]:
        def encode(part: tuple[Sequence[Entry], Decoded]) -> list[tuple[Entry, Encoded]]:
            batch, pictures = part
            results = list(zip(batch, encoded(pictures, self.encoder, known), strict=True))
            self.decoders.release(pictures)
            return results

        for part in thread_map(encode, self.decoders.decoded(entries)):
            yield from part


def image_encoder_of(tower: ImageTower) -> ImageEncoder:
    """Return the encoder of a tower. Raises CMRError if there is none."""
    if not tower.has_encoder:
        raise CMRError("a model of precomputed features cannot index pictures")
    return tower.required_encoder


def encoded(
    pictures: Decoded, encoder: ImageEncoder, known: Container[str] = ()
) -> Iterator[Encoded]:
    """Yield the features or the problem of each picture, without encoding contents in `known`."""
    is_new = [
        sha256 not in known
        for sha256, problem in zip(pictures.sha256, pictures.problems, strict=True)
        if not problem
    ]
    pixels = pictures.pixels if all(is_new) else pictures.pixels[is_new]
    rows = iter(encoder.encode_pixels(pixels))
    new = iter(is_new)
    for sha256, problem, facts in zip(
        pictures.sha256, pictures.problems, pictures.facts, strict=True
    ):
        yield Encoded(sha256, next(rows) if not problem and next(new) else None, problem, facts)
