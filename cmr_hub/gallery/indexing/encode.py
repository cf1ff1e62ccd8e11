"""Pictures of entries become features, on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

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

Group: TypeAlias = "list[tuple[Entry, Decoded]]"
"""As many pictures as the network is given at once."""


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

    def encode(group: Group) -> list[tuple[Entry, Encoded]]:
        return _encode(group, encoder, known)

    groups = _groups(decoded(entries, encoder.preprocessing, workers), encoder.batch_size)
    for group in side_by_side(encode, groups):
        yield from group


def _groups(pictures: Iterable[tuple[Entry, Decoded]], size: int) -> Iterator[Group]:
    source = iter(pictures)
    while group := list(islice(source, size)):
        yield group


def image_encoder_of(model: CrossModalModel) -> ImageEncoder:
    """Raises CMRError where there is none."""
    if model.image_encoder is None:
        raise CMRError("a model of precomputed features cannot index pictures")
    return model.image_encoder


def _encode(
    group: Group, encoder: ImageEncoder, known: Container[str]
) -> list[tuple[Entry, Encoded]]:
    new = {
        place: picture.pixels
        for place, (_, picture) in enumerate(group)
        if picture.pixels is not None and picture.sha256 not in known
    }
    features: dict[int, FloatArray] = {}
    if new:
        rows = encoder.encode_pixels(np.stack(list(new.values())))
        features = dict(zip(new, rows, strict=True))
    return [
        (entry, Encoded(picture.sha256, features.get(place), picture.problem))
        for place, (entry, picture) in enumerate(group)
    ]
