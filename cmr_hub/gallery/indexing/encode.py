"""Pictures of entries become features, on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cmr_hub.encoders.images.parallel import side_by_side
from cmr_hub.errors import CMRError
from cmr_hub.gallery.indexing.decode import Decoded, decoded

if TYPE_CHECKING:
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.gallery.indexing.entry import Entry
    from cmr_hub.models.cross_modal import CrossModalModel
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


Encode: TypeAlias = Callable[
    ["Sequence[Entry]", "CrossModalModel", Container[str]],
    "Iterator[tuple[Entry, Encoded]]",
]
"""(entries, model, SHA-256 of contents whose vectors are known) → all entries, in any order."""


def encoded_here(
    entries: Sequence[Entry],
    model: CrossModalModel,
    known: Container[str],
    *,
    workers: int | None = None,
) -> Iterator[tuple[Entry, Encoded]]:
    """Encodes in this process what others decode; see `Encode`.

    Args:
        entries, model, known: as `Encode` says.
        workers: processes that decode; default one for two cores.

    Raises:
        CMRError: the model cannot encode pictures, or a process died.
    """
    encoder = image_encoder_of(model)
    workers = workers or max(1, (os.cpu_count() or 1) // 2)

    def encode(part: tuple[Sequence[Entry], Decoded]) -> list[tuple[Entry, Encoded]]:
        own, pictures = part
        return list(zip(own, encoded(pictures, encoder, known), strict=True))

    size = 2 * encoder.batch_size  # each hand-over holds up the encoder a little
    for part in side_by_side(encode, decoded(entries, encoder.preprocessing, size, workers)):
        yield from part


def image_encoder_of(model: CrossModalModel) -> ImageEncoder:
    """Raises CMRError where there is none."""
    if model.image_encoder is None:
        raise CMRError("a model of precomputed features cannot index pictures")
    return model.image_encoder


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
