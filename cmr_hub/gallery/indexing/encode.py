"""Pictures of entries become vectors, on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cmr_hub.errors import CMRError
from cmr_hub.gallery.indexing.decode import Decoded, decoded

if TYPE_CHECKING:
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.gallery.indexing.entry import Entry
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Encoded:
    """A picture's vector, or why there is none.

    Attributes:
        sha256: of its bytes; "" where they cannot be read.
        vector: (d,) of length 1; None where there is a problem or the content was known.
        problem: why it cannot be read.
    """

    sha256: str
    vector: FloatArray | None
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
    waiting: list[tuple[Entry, Decoded]] = []
    workers = workers or max(1, (os.cpu_count() or 1) // 2)
    for entry, picture in decoded(entries, encoder.preprocessing, workers):
        if picture.pixels is None or picture.sha256 in known:
            yield entry, Encoded(picture.sha256, None, picture.problem)
            continue
        waiting.append((entry, picture))
        if len(waiting) == _BATCH:
            yield from _encode(model, waiting)
            waiting = []
    if waiting:
        yield from _encode(model, waiting)


def image_encoder_of(model: CrossModalModel) -> ImageEncoder:
    """Raises CMRError where there is none."""
    if model.image_encoder is None:
        raise CMRError("a model of precomputed features cannot index pictures")
    return model.image_encoder


def _encode(
    model: CrossModalModel, pictures: Sequence[tuple[Entry, Decoded]]
) -> Iterator[tuple[Entry, Encoded]]:
    pixels = [picture.pixels for _, picture in pictures if picture.pixels is not None]
    features = image_encoder_of(model).encode_pixels(np.stack(pixels))
    vectors = model.image_projector.embed(features)
    for (entry, picture), vector in zip(pictures, vectors, strict=True):
        yield entry, Encoded(picture.sha256, vector)
