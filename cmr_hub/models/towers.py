"""The image tower and the text tower, which map their modality into the common space."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import numpy as np
from PIL import Image

from cmr_hub.datasets.metadata import IMAGE_ENDINGS
from cmr_hub.encoders.images import EXPORTED_QUICKLY
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.lazy import Lazy
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.errors import CMRError, ModelFormatError, QueryError, UnknownWordsError, shown

if TYPE_CHECKING:
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.models.projection import Projection
    from cmr_hub.types import Document, FloatArray, ImageSource, OnError

E = TypeVar("E")

logger = logging.getLogger(__name__)


class _Trained(Protocol):
    """A `Projector` or a `Projection`."""

    def projection(self) -> Projection: ...


class _Tower(ABC, Generic[E]):
    """An encoder, a projector, or both in sequence.

    Args:
        encoder: encoder that computes features; a `Lazy` one is built when it is needed; None for
            a model of precomputed features.
        projector: projector into the common space, which is copied; None if the encoder already
            maps into it.

    Raises:
        ModelFormatError: both are None, or their dimensions differ.
    """

    _reads: str

    def __init__(self, encoder: E | Lazy[E] | None, projector: _Trained | None) -> None:
        if encoder is None and projector is None:
            raise ModelFormatError("a tower needs an encoder, a projector, or both")
        self._encoder: Any = encoder
        self.projector = None if projector is None else projector.projection()
        self._before: Self | None = None
        dim = getattr(encoder, "dim", None)
        if self.projector is not None and dim not in (None, self.projector.in_dim):
            raise ModelFormatError(
                f"the projector takes rows of {self.projector.in_dim} numbers, but the encoder of "
                f"{self._reads} returns {dim}"
            )

    @property
    def encoder(self) -> E | None:
        """The encoder, built now if necessary; None for precomputed features."""
        is_lazy = isinstance(self._encoder, Lazy)
        encoder: E | None = self._encoder.get() if is_lazy else self._encoder
        return encoder

    @property
    def has_encoder(self) -> bool:
        """Whether the tower has an encoder; does not build it."""
        return self._encoder is not None

    @property
    def encoder_name(self) -> str | None:
        """Name of the encoder; does not build it."""
        return None if self._encoder is None else str(self._encoder.name)

    @property
    def encoder_source(self) -> str | None:
        """Source of the encoder's weights, see `EncoderConfig`; does not build it."""
        return None if self._encoder is None else str(getattr(self._encoder, "source", "file"))

    @property
    def dim(self) -> int:
        """Dimension d of the common space."""
        return int((self.projector or self._encoder).dim)

    @property
    def in_dim(self) -> int:
        """Dimension of the features that `embed` accepts."""
        return int(self._encoder.dim) if self.projector is None else self.projector.in_dim

    @property
    def required_encoder(self) -> E:
        """The encoder. Raises CMRError for a model of precomputed features."""
        encoder = self.encoder
        if encoder is None:
            raise CMRError(
                f"this model was trained on precomputed features and cannot read {self._reads}: "
                f"pass rows of features to model.{self._attribute}.embed"
            )
        return encoder

    def embed(self, features: FloatArray) -> FloatArray:
        """Map (N, D) features of the encoder to (N, d) float32 unit vectors."""
        if self.projector is not None:
            return self.projector.embed(features)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        unit: FloatArray = np.zeros_like(features)
        np.divide(features, lengths, out=unit, where=lengths > 0)
        return unit

    def to(self, placement: Placement) -> None:
        """Move the encoder to a device and precision; the small projector stays on the CPU."""
        if self._encoder is not None:
            self._encoder.to(placement)

    @property
    @abstractmethod
    def identity(self) -> str:
        """Identifier of everything that affects the features; empty for precomputed features."""

    @property
    @abstractmethod
    def exports_quickly(self) -> bool:
        """Whether the encoder may use another backend by default; does not build it."""

    @property
    def movable(self) -> Self:
        """The tower to save or to move to a device: with torch, unless a backend was chosen."""
        return self if self._before is None else self._before

    def run_by(
        self,
        export: Callable[[E | Lazy[E], Placement], E],
        placement: Placement,
        *,
        fallback: bool = False,
    ) -> Self:
        """Return a copy of the tower whose encoder is exported to another backend on first use.

        Args:
            export: function that exports an encoder, built or not, to the backend.
            placement: backend and precision.
            fallback: if the export fails, use torch and log the reason.
        """
        encoder = self._encoder
        if encoder is None:
            return self

        def build() -> E:
            try:
                return export(encoder, placement)
            except (CMRError, OSError) as error:
                if not fallback:
                    raise
                logger.warning("%s uses torch, which is slower: %s", encoder.name, error)
                return self.required_encoder

        facts = (encoder.name, str(self.encoder_source), encoder.dim)
        lazy = Lazy(build, *facts, placement.marked(self.identity))
        other = type(self)(lazy, self.projector)
        other._before = self if fallback else None
        return other

    @property
    def _attribute(self) -> str:
        return "image" if self._reads == "pictures" else "text"


class ImageTower(_Tower[ImageEncoder]):
    """The tower that maps pictures into the common space; see `_Tower`."""

    _reads = "pictures"

    @property
    def identity(self) -> str:
        """Fingerprint of the encoder; empty for precomputed features."""
        return "" if self._encoder is None else self._encoder.fingerprint

    @property
    def exports_quickly(self) -> bool:
        """See `_Tower`."""
        return self.encoder_name in EXPORTED_QUICKLY

    def encode(
        self,
        images: Sequence[ImageSource],
        *,
        batch_size: int | None = None,
        on_error: OnError = "raise",
        cache: FeatureCache | None = None,
        progress: bool = False,
    ) -> FloatArray:
        """Encode pictures as (N, d) float32 unit vectors.

        Args:
            images, batch_size, on_error: see `CrossModalModel.encode_images`.
            cache: cache of features; only with on_error="raise".
            progress: show a progress bar.

        Raises:
            ImageError: a picture cannot be read; the message names it.
            CMRError: the model was trained on precomputed features.
        """
        encoder = self.required_encoder
        refuse_single(images, "images")
        if cache is not None:
            return self.embed(cache.encode(encoder, images, progress=progress))
        rows = encoder.encode(
            list(images), batch_size=batch_size, on_error=on_error, progress=progress
        )
        if on_error != "none":
            return self.embed(rows)
        is_read = np.isfinite(rows).all(axis=1)
        vectors = np.full((len(rows), self.dim), np.nan, dtype=np.float32)
        if is_read.any():
            vectors[is_read] = self.embed(rows[is_read])
        return vectors

    def encode_pixels(self, pixels: Any) -> FloatArray:
        """Encode preprocessed pictures as (N, d) float32 unit vectors."""
        return self.embed(self.required_encoder.encode_pixels(pixels))


class TextTower(_Tower[TextEncoder]):
    """The tower that maps texts into the common space; see `_Tower`."""

    _reads = "text"

    @property
    def identity(self) -> str:
        """Identifier of everything that affects the features; empty for precomputed features."""
        if isinstance(self._encoder, Lazy):
            return self._encoder.fingerprint
        return "" if self._encoder is None else self._encoder.identity

    @property
    def exports_quickly(self) -> bool:
        """See `_Tower`."""
        return isinstance(self._encoder, TextEncoder) and self._encoder.exports_quickly

    def encode(
        self,
        documents: Sequence[Document],
        *,
        cache: FeatureCache | None = None,
        progress: bool = False,
        check: bool = True,
    ) -> FloatArray:
        """Encode documents, each with all sentences of an item, as (N, d) float32 unit vectors.

        Args:
            documents: lists of sentences.
            cache: cache of features, used if the encoder is pretrained.
            progress: show a progress bar.
            check: refuse documents without a word in the vocabulary, whose vectors are
                meaningless.

        Raises:
            UnknownWordsError: a document has no word in the encoder's vocabulary.
            CMRError: the model was trained on precomputed features.
        """
        encoder = self.required_encoder
        if check:
            for document in documents:
                if not encoder.knows(document):
                    raise UnknownWordsError(_unknown_words_message(encoder, document))
        if cache is not None:
            return self.embed(cache.encode_texts(encoder, documents, progress=progress))
        return self.embed(encoder.transform(documents))

    @property
    def logit_scale(self) -> float | None:
        """Factor of the cosines in the encoder's training; None if unknown or with a projector."""
        encoder = self.encoder
        return None if encoder is None or self.projector is not None else encoder.logit_scale

    def run_by(
        self,
        export: Callable[[TextEncoder | Lazy[TextEncoder], Placement], TextEncoder],
        placement: Placement,
        *,
        fallback: bool = False,
    ) -> Self:
        # Encoders that count or look up words have no network to export.
        if isinstance(self._encoder, TextEncoder) and not self._encoder.has_network:
            return self
        return super().run_by(export, placement, fallback=fallback)

    def knows(self, document: Document) -> bool:
        """Return whether a word of the document is in the vocabulary.

        Raises CMRError without an encoder.
        """
        return self.required_encoder.knows(document)

    def unknown_words(self, text: str) -> list[str]:
        """Return the words outside the encoder's vocabulary; none without an encoder."""
        encoder = self.encoder
        return [] if encoder is None else encoder.unknown_words(text)


def refuse_single(items: object, name: str) -> None:
    """Raise QueryError for a single item, such as a string, or for anything not iterable.

    A string is a sequence of letters, but passing one instead of a list is most likely a mistake.
    """
    single = str | bytes | bytearray | Path | Image.Image
    if isinstance(items, single) or not isinstance(items, Iterable):
        raise QueryError(f"{name} must be a list; got the single value {shown(items)}")
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.ndim < 4:
        raise QueryError(
            f"{name} must be a list of pictures; got one array of shape {items.shape}: "
            "put it into a list, or pass an array (pictures, height, width, 3)"
        )


def refuse_file_name(text: str) -> None:
    """Refuse a single word with the extension of a picture file; sentences pass.

    Raises:
        QueryError: the text is a file name; the message says how to pass the picture.
    """
    word = text.strip()
    if len(word.split()) == 1 and word.lower().endswith(IMAGE_ENDINGS):
        raise QueryError(
            f"{word[:200]!r} is the name of a picture file, but a text is searched for its words. "
            f"To search with the picture, pass Path({word[:200]!r}) in Python, use --image on the "
            "command line, or upload it on the page; to search for the words, leave out the "
            "extension"
        )


def _unknown_words_message(encoder: TextEncoder, document: Document) -> str:
    text = " ".join(document)
    unknown = encoder.unknown_words(text)
    if not unknown:
        return "the text has no words; type a sentence"
    words = ", ".join(word[:40] for word in unknown[:8])
    more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
    return f"no word of the text is known to this model: {words}{more}; use other words"
