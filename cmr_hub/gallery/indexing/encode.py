"""Pictures of entries become features, on this machine."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmr_hub.encoders.images.parallel import pieces_in_work, side_by_side
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
    """A picture's features, or why there are none.

    Attributes:
        sha256: of its bytes; "" where they cannot be read.
        features: (dim,) of the image encoder; None where there is a problem or the content was
            known. Projecting them is left to who writes them: many at once cost less.
        problem: why it cannot be read.
    """

    sha256: str
    features: FloatArray | None
    problem: str = ""


class Encoding(AbstractContextManager["Encoding"]):
    """Where pictures are decoded and encoded; what it started ends with the `with`."""

    @abstractmethod
    def expect(self, count: int) -> None:
        """Says that so many pictures will come, or more: what is slow to start may start."""

    @abstractmethod
    def encoded(
        self, entries: Sequence[Entry], known: Container[str]
    ) -> Iterator[tuple[Entry, Encoded]]:
        """All entries, in any order.

        Args:
            entries: where the pictures are.
            known: SHA-256 of contents whose vectors are known.

        Raises:
            CMRError: it cannot go on; the message says why.
        """


class EncodingHere(Encoding):
    """Encodes in this process what others decode.

    Args:
        model: with the image encoder.
        workers: processes that decode; default one for two cores.

    Raises:
        CMRError: the model cannot encode pictures.
    """

    def __init__(self, model: CrossModalModel, workers: int | None = None) -> None:
        self.encoder = image_encoder_of(model.image)
        self.decoders = Decoders(
            self.encoder.preprocessing,
            2
            * self.encoder.placement.batch_size(
                self.encoder.batch_size
            ),  # each hand-over holds up the encoder a little
            workers or max(1, (os.cpu_count() or 1) // 2),
            pieces_in_work(),
        )

    def __exit__(self, *error: object) -> None:
        self.decoders.__exit__(*error)

    def expect(self, count: int) -> None:
        self.decoders.expect(count)

    def encoded(
        self, entries: Sequence[Entry], known: Container[str]
    ) -> Iterator[tuple[Entry, Encoded]]:
        def encode(part: tuple[Sequence[Entry], Decoded]) -> list[tuple[Entry, Encoded]]:
            own, pictures = part
            done = list(zip(own, encoded(pictures, self.encoder, known), strict=True))
            self.decoders.release(pictures)
            return done

        for part in side_by_side(encode, self.decoders.decoded(entries)):
            yield from part


def image_encoder_of(tower: ImageTower) -> ImageEncoder:
    """Raises CMRError where there is none."""
    if not tower.has_encoder:
        raise CMRError("a model of precomputed features cannot index pictures")
    return tower.required_encoder


def encoded(
    pictures: Decoded, encoder: ImageEncoder, known: Container[str] = ()
) -> Iterator[Encoded]:
    """The features of each, or its problem; none of contents whose vectors are `known`."""
    is_new = [
        sha256 not in known
        for sha256, problem in zip(pictures.sha256, pictures.problems, strict=True)
        if not problem
    ]
    pixels = pictures.pixels if all(is_new) else pictures.pixels[is_new]
    rows = iter(encoder.encode_pixels(pixels))
    new = iter(is_new)
    for sha256, problem in zip(pictures.sha256, pictures.problems, strict=True):
        yield Encoded(sha256, next(rows) if not problem and next(new) else None, problem)
