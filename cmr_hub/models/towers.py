"""Towers: each takes one modality into the common space."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import numpy as np
from PIL import Image

from cmr_hub.encoders.images import EXPORTED_QUICKLY
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.lazy import Lazy
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.errors import CMRError, ModelFormatError, UnknownWordsError, shown

if TYPE_CHECKING:
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.models.projection import Projection
    from cmr_hub.types import Document, FloatArray, ImageSource, OnError

E = TypeVar("E")

logger = logging.getLogger(__name__)


class _Trained(Protocol):
    """A `Projector`, or the `Projection` that is left of one."""

    def projection(self) -> Projection: ...


class _Tower(ABC, Generic[E]):
    """An encoder, a projector, or one after the other.

    Args:
        encoder: gives feature rows; one that is `Lazy` is built when it is needed; None for a
            model of precomputed features.
        projector: takes them into the common space, as it does now; None where the encoder's own
            rows are that.

    Raises:
        ModelFormatError: neither of them, or they do not fit together.
    """

    _reads: str

    def __init__(self, encoder: E | Lazy[E] | None, projector: _Trained | None) -> None:
        if encoder is None and projector is None:
            raise ModelFormatError("a tower has an encoder, a projector, or both")
        self._encoder = encoder
        self.projector = None if projector is None else projector.projection()
        self._before: Self | None = None
        own: Any = encoder
        if self.projector is not None and own is not None and own.dim != self.projector.in_dim:
            raise ModelFormatError(
                f"the projector takes rows of {self.projector.in_dim} numbers, "
                f"the encoder of {self._reads} gives {own.dim}"
            )

    @property
    def encoder(self) -> E | None:
        """The encoder, built now if it was not yet; None for precomputed features."""
        return self._encoder.get() if isinstance(self._encoder, Lazy) else self._encoder

    @property
    def has_encoder(self) -> bool:
        """Whether it reads anything but feature rows; builds nothing."""
        return self._encoder is not None

    @property
    def encoder_name(self) -> str | None:
        """Of the encoder; builds nothing."""
        own: Any = self._encoder
        return None if own is None else str(own.name)

    @property
    def encoder_source(self) -> str | None:
        """Where the encoder's weights come from, as `EncoderConfig.source`; builds nothing."""
        own: Any = self._encoder
        return None if own is None else str(getattr(own, "source", "file"))

    @property
    def dim(self) -> int:
        """Dimension d of the common space."""
        own: Any = self.projector or self._encoder
        return int(own.dim)

    @property
    def in_dim(self) -> int:
        """Length of the feature rows that `embed` takes."""
        own: Any = self._encoder
        return int(own.dim) if self.projector is None else self.projector.in_dim

    @property
    def required_encoder(self) -> E:
        """The encoder. Raises CMRError for a model of precomputed features."""
        encoder = self.encoder
        if encoder is None:
            raise CMRError(
                f"this model was trained on precomputed features and cannot read {self._reads}; "
                f"give feature rows to model.{self._attribute}.embed instead"
            )
        return encoder

    def embed(self, features: FloatArray) -> FloatArray:
        """(N, D) feature rows of the encoder → (N, d) float32 unit vectors."""
        if self.projector is not None:
            return self.projector.embed(features)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        unit: FloatArray = np.zeros_like(features)
        np.divide(features, lengths, out=unit, where=lengths > 0)
        return unit

    def to(self, placement: Placement) -> None:
        """Moves the encoder to a device and precision; the projector is small and stays."""
        encoder: Any = self._encoder
        if encoder is not None:
            encoder.to(placement)

    @property
    @abstractmethod
    def identity(self) -> str:
        """Of the encoder: all that changes its rows; empty for precomputed features."""

    @property
    @abstractmethod
    def exports_quickly(self) -> bool:
        """Whether another backend may run the encoder unasked; builds nothing."""

    @property
    def movable(self) -> Self:
        """This tower for other devices and machines: run by torch again, where nobody has asked
        for the backend that runs it."""
        return self if self._before is None else self._before

    def run_by(
        self,
        export: Callable[[E | Lazy[E], Placement], E],
        placement: Placement,
        *,
        unasked: bool = False,
    ) -> Self:
        """This tower with its encoder exported, when it is first needed.

        Args:
            export: an encoder, perhaps not built yet → the same, run by the backend of the
                placement.
            placement: the backend, and the precision there.
            unasked: where it cannot be exported, torch runs it, and the log says why.
        """
        own: Any = self._encoder
        if own is None:
            return self

        def build() -> E:
            try:
                return export(own, placement)
            except (CMRError, OSError) as error:
                if not unasked:
                    raise
                logger.warning("%s is run by torch, which is slower: %s", own.name, error)
                return self.required_encoder

        source = getattr(own, "source", "file")
        lazy = Lazy(build, own.name, source, own.dim, placement.marked(self.identity))
        other = type(self)(lazy, self.projector)
        other._before = self if unasked else None
        return other

    @property
    def _attribute(self) -> str:
        return "image" if self._reads == "pictures" else "text"


class ImageTower(_Tower[ImageEncoder]):
    """Pictures → the common space. See `_Tower`."""

    _reads = "pictures"

    @property
    def identity(self) -> str:
        """Of the encoder: its fingerprint; empty for precomputed features."""
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
        """Pictures → (N, d) float32 unit vectors.

        Args:
            images, batch_size, on_error: see `CrossModalModel.encode_images`.
            cache: keeps the encoder's rows; goes with "raise" only.
            progress: show a bar.

        Raises:
            ImageError: a picture cannot be read; the message names it.
            CMRError: a model of precomputed features.
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
        read = np.isfinite(rows).all(axis=1)
        found = np.full((len(rows), self.dim), np.nan, dtype=np.float32)
        if read.any():
            found[read] = self.embed(rows[read])
        return found

    def encode_pixels(self, pixels: Any) -> FloatArray:
        """Pictures as the encoder's preprocessing gives them → (N, d) float32 unit vectors."""
        return self.embed(self.required_encoder.encode_pixels(pixels))


class TextTower(_Tower[TextEncoder]):
    """Texts → the common space. See `_Tower`."""

    _reads = "text"

    @property
    def identity(self) -> str:
        """Of the encoder: all that changes its rows; empty for precomputed features."""
        if isinstance(self._encoder, Lazy):
            return self._encoder.fingerprint
        return "" if self._encoder is None else self._encoder.identity

    @property
    def exports_quickly(self) -> bool:
        """See `_Tower`."""
        own = self._encoder
        return isinstance(own, TextEncoder) and own.exports_quickly

    def encode(
        self,
        documents: Sequence[Document],
        *,
        cache: FeatureCache | None = None,
        progress: bool = False,
        check: bool = True,
    ) -> FloatArray:
        """Documents (all sentences of an item each) → (N, d) float32 unit vectors.

        Args:
            documents: lists of sentences.
            cache: keeps the encoder's rows, if it is a pretrained one.
            progress: show a bar.
            check: refuse a document without a known word, whose vector would mean nothing.

        Raises:
            UnknownWordsError: a document has no word that the encoder knows.
            CMRError: a model of precomputed features.
        """
        encoder = self.required_encoder
        if check:
            for document in documents:
                if not encoder.knows(document):
                    raise UnknownWordsError(_nothing_known(encoder, document))
        if cache is not None:
            return self.embed(cache.encode_texts(encoder, documents, progress=progress))
        return self.embed(encoder.transform(documents))

    @property
    def logit_scale(self) -> float | None:
        """What the encoder multiplied cosines by in training; None where it does not say, or a
        projector has made another space of its rows."""
        encoder = self.encoder
        return None if encoder is None or self.projector is not None else encoder.logit_scale

    def run_by(
        self,
        export: Callable[[TextEncoder | Lazy[TextEncoder], Placement], TextEncoder],
        placement: Placement,
        *,
        unasked: bool = False,
    ) -> Self:
        own = self._encoder
        # Words are counted and looked up without a network: they stay what they are.
        if isinstance(own, TextEncoder) and not own.has_network:
            return self
        return super().run_by(export, placement, unasked=unasked)

    def knows(self, document: Document) -> bool:
        """Whether there is a word that the encoder knows. Raises CMRError without an encoder."""
        return self.required_encoder.knows(document)

    def unknown_words(self, text: str) -> list[str]:
        """The words that mean nothing to the encoder; none without an encoder."""
        encoder = self.encoder
        return [] if encoder is None else encoder.unknown_words(text)


def refuse_single(items: object, name: str) -> None:
    """A lone string is a sequence too, of letters: almost surely a slip. Raises CMRError.

    So does what is no sequence at all, such as None.
    """
    single = str | bytes | bytearray | Path | Image.Image
    if isinstance(items, single) or not isinstance(items, Iterable):
        raise CMRError(f"{name} must be a list; got the single value {shown(items)}")
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.ndim < 4:
        raise CMRError(
            f"{name} must be a list of pictures; got one array of shape {items.shape}: "
            "put it into a list, or give an array (pictures, height, width, 3)"
        )


def _nothing_known(encoder: TextEncoder, document: Document) -> str:
    text = " ".join(document)
    unknown = encoder.unknown_words(text)
    if not unknown:
        return "the text has no words; type a sentence"
    shown = ", ".join(word[:40] for word in unknown[:8])
    more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
    return f"no word of the text is known to this model: {shown}{more}; use other words"
