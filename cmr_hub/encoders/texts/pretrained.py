"""The text side of pretrained encoders: CLIP, SigLIP, and any model of sentence-transformers."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from cmr_hub.encoders.images.exported import refuse_move
from cmr_hub.encoders.images.parallel import thread_map
from cmr_hub.encoders.images.pretrained import fingerprint_of_side
from cmr_hub.encoders.meta import refuse_non_finite_rows
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.tokens import sentences
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.pretrained.backbone import Backbone
    from cmr_hub.types import Arrays, Document, FloatArray, JSONObject

logger = logging.getLogger(__name__)

_BATCH = 16


class PretrainedTextEncoder(TextEncoder):
    """Encode texts with the text side of a backbone.

    The row of a document is the mean of the unit vectors of its sentences. No word is unknown,
    because the network reads subword tokens.

    Args:
        backbone: A backbone with a text side.

    Raises:
        CMRError: The backbone has no text side.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._dim = backbone.require("text")
        self.backbone = backbone
        self.name = f"hf:{backbone.files.name}"  # type: ignore[misc]
        self.logit_scale = backbone.logit_scale
        self._run: Callable[[Arrays], FloatArray] | None = None
        self._placement: Placement | None = None
        self._has_warned = False

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def source(self) -> str:
        """Source of the encoder: `hf:REPOSITORY@COMMIT`, or `file`."""
        return self.backbone.files.source

    @property
    def fingerprint(self) -> str:
        """Hash of the files, which contain weights and tokeniser."""
        return self.placement.marked(fingerprint_of_side(self.backbone.files, "text"))

    @property
    def identity(self) -> str:
        return self.fingerprint

    @property
    def placement(self) -> Placement:  # type: ignore[override]
        """Placement of the backbone, or of the runtime that replaces it."""
        return self._placement or self.backbone.placement

    def to(self, placement: Placement) -> Self:
        if self._placement is not None:
            refuse_move(self.name, self._placement, placement)
        else:
            self.backbone.to(placement)
        return self

    @property
    def network(self) -> nn.Module:
        """Network of the backbone."""
        return self.backbone.network

    @property
    def has_network(self) -> bool:
        return True

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        return self.backbone.tokens(texts)

    def rows(self, tokens: dict[str, Tensor]) -> Tensor:
        if self._run is None:
            return self.backbone.texts(tokens)
        import torch

        return torch.from_numpy(self._run({name: t.numpy() for name, t in tokens.items()}))

    def run_by(self, run: Callable[[Arrays], FloatArray], placement: Placement) -> Self:
        other = copy.copy(self)
        other.backbone = self.backbone.without_weights()
        other._run, other._placement = run, placement
        return other

    def fit(self, documents: Sequence[Document]) -> Self:
        """Return self, because the encoder is pretrained."""
        del documents
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32; documents without a word are zero rows."""
        texts: list[str] = []
        document_of: list[int] = []
        for number, document in enumerate(documents):
            non_empty = [text for text in sentences(document) if text.strip()]
            texts += non_empty
            document_of += [number] * len(non_empty)
        vectors = self._embed(texts)
        rows = np.zeros((len(documents), self._dim), dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.add.at(rows, document_of, np.divide(vectors, lengths, out=vectors, where=lengths > 0))
        counts = np.bincount(np.asarray(document_of, dtype=np.int64), minlength=len(documents))
        rows /= counts.clip(1).astype(np.float32)[:, np.newaxis]
        return rows

    def unknown_words(self, text: str) -> list[str]:
        """Return an empty list."""
        return []

    def knows(self, document: Document) -> bool:
        """Return whether the document is not empty."""
        return any(text.strip() for text in sentences(document))

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        """Return the source of the encoder; its files are saved with the model."""
        return {"source": self.source, "sha256": self.backbone.files.sha256}, {}

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        raise CMRError("a pretrained text encoder has no state: load its files with cmr_hub.load")

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        """Return (M, dim) rows of single texts, not normalised."""
        # JSON can contain lone surrogates, which tokenisers refuse.
        texts = [text.encode(errors="replace").decode() for text in texts]
        self._warn_of_truncation(texts)
        rows = np.empty((len(texts), self._dim), dtype=np.float32)
        # Batches of texts of similar length need little padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        size = self.placement.batch_size(_BATCH)

        def work(start: int) -> None:
            chosen = order[start : start + size]
            batch = self._batch_rows([texts[index] for index in chosen])
            refuse_non_finite_rows(batch, self.name)
            rows[chosen] = batch

        for _ in thread_map(work, range(0, len(texts), size)):
            pass
        return rows

    def _batch_rows(self, texts: Sequence[str]) -> FloatArray:
        """Return the (B, dim) rows of a batch, computed by the current runtime."""
        if self._run is not None:
            return self._run(self.backbone.arrays(texts))
        import torch

        with torch.inference_mode():
            rows: FloatArray = self.rows(self.tokens(texts)).float().cpu().numpy()
        return rows

    def _warn_of_truncation(self, texts: Sequence[str]) -> None:
        if self._has_warned:
            return
        cut = next((text for text in texts if self.backbone.is_cut(text)), None)
        if cut is not None:
            self._has_warned = True
            logger.warning(
                "%s truncates long texts, for example: %.60s… (this is logged once)",
                self.name,
                cut,
            )
