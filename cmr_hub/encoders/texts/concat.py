"""Concatenate the rows of several text encoders."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.encoders.texts import text_encoder, text_encoder_from_state
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.options import checked_options
from cmr_hub.encoders.texts.state import restore_options
from cmr_hub.errors import CMRError, ModelFormatError
from cmr_hub.types import Document, FloatArray, JSONObject


class ConcatEncoder(TextEncoder):
    """Concatenation of the rows of several encoders, which may complement each other.

    Args:
        encoders: Names of registered encoders, which use their default options.

    A document is known if any encoder knows it; a word is unknown if no encoder knows it.

    When to prefer: `bow` with `sentence` combines exact words with their meaning.
    """

    name: ClassVar[str] = "concat"

    @checked_options
    def __init__(
        self,
        *,
        encoders: Annotated[list[str], Field(min_length=1)] = ["bow", "sentence"],  # noqa: B006
    ) -> None:
        if self.name in encoders:
            raise CMRError("concat: an encoder cannot contain itself: name other encoders")
        if pretrained := [name for name in encoders if name.startswith(PREFIX)]:
            raise CMRError(f"concat: {pretrained[0]} cannot be a part: use 'sentence' instead")
        self.options: JSONObject = {"encoders": list(encoders)}
        self._parts = tuple(text_encoder(name) for name in encoders)

    @property
    def parts(self) -> tuple[TextEncoder, ...]:
        return self._parts

    def with_parts(self, parts: Sequence[TextEncoder]) -> Self:
        other = copy.copy(self)
        other._parts = tuple(parts)
        return other

    @property
    def placement(self) -> Placement:  # type: ignore[override]
        """Placement of the parts that have a network."""
        placements = (part.placement for part in self._parts)
        return next((place for place in placements if not place.is_reference), Placement())

    @property
    def dim(self) -> int:
        return sum(part.dim for part in self._parts)

    def fit(self, documents: Sequence[Document]) -> Self:
        """Fit every part."""
        for part in self._parts:
            part.fit(documents)
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32: the concatenated rows of the parts."""
        return np.hstack([part.transform(documents) for part in self._parts])

    def unknown_words(self, text: str) -> list[str]:
        first, *others = (part.unknown_words(text) for part in self._parts)
        return [word for word in first if all(word in other for other in others)]

    def knows(self, document: Document) -> bool:
        return any(part.knows(document) for part in self._parts)

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        settings: list[JSONObject] = []
        arrays: dict[str, np.ndarray] = {}
        for number, part in enumerate(self._parts):
            part_settings, rows = part.state()
            settings.append(part_settings)
            arrays |= {f"{number}/{name}": array for name, array in rows.items()}
        return {"options": self.options, "parts": settings}, arrays

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        encoder = restore_options(cls, settings)
        stored = settings.get("parts")
        names = encoder.options["encoders"]
        if not isinstance(stored, list) or len(stored) != len(names):
            raise ModelFormatError("concat: the settings of its encoders are missing")
        parts = []
        for number, (name, part_settings) in enumerate(zip(names, stored, strict=True)):
            if not isinstance(part_settings, dict):
                raise ModelFormatError(f"concat: the settings of {name} are not an object")
            start = f"{number}/"
            rows = {
                key.removeprefix(start): array
                for key, array in arrays.items()
                if key.startswith(start)
            }
            parts.append(text_encoder_from_state(name, part_settings, rows))
        encoder._parts = tuple(parts)
        return encoder
