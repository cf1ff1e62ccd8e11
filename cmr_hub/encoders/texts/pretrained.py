"""Text side of pretrained encoders: CLIP, SigLIP, and any model of sentence-transformers."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from cmr_hub.encoders.images.exported import refuse_move
from cmr_hub.encoders.images.parallel import side_by_side
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

    A document's row is the mean of its sentences' unit vectors. The network reads subwords, so no
    word of any language is unknown.

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
        self._is_told = False

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def source(self) -> str:
        """Name to load it again: `hf:REPOSITORY@COMMIT`, or `file`."""
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

        return torch.from_numpy(self._run({name: one.numpy() for name, one in tokens.items()}))

    def run_by(self, run: Callable[[Arrays], FloatArray], placement: Placement) -> Self:
        other = copy.copy(self)
        other.backbone = self.backbone.without_weights()
        other._run, other._placement = run, placement
        return other

    def fit(self, documents: Sequence[Document]) -> Self:
        """Do nothing: the encoder is pretrained."""
        del documents
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32; documents without a word are zero rows."""
        texts: list[str] = []
        owner: list[int] = []
        for number, document in enumerate(documents):
            own = [text for text in sentences(document) if text.strip()]
            texts += own
            owner += [number] * len(own)
        found = self._embed(texts)
        rows = np.zeros((len(documents), self._dim), dtype=np.float32)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        np.add.at(rows, owner, np.divide(found, lengths, out=found, where=lengths > 0))
        counts = np.bincount(np.asarray(owner, dtype=np.int64), minlength=len(documents))
        rows /= counts.clip(1).astype(np.float32)[:, np.newaxis]
        return rows

    def unknown_words(self, text: str) -> list[str]:
        """Return an empty list."""
        return []

    def knows(self, document: Document) -> bool:
        """Return whether the document is not empty."""
        return any(text.strip() for text in sentences(document))

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        """Return the source of the encoder; the tower saves its files."""
        return {"source": self.source, "sha256": self.backbone.files.sha256}, {}

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        raise CMRError("a pretrained text encoder is read from its files: cmr_hub.load")

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        """Return (M, dim) rows of single texts, as the network computes them."""
        # JSON can contain lone surrogates, which tokenisers refuse.
        texts = [text.encode(errors="replace").decode() for text in texts]
        self._tell_of_cut(texts)
        rows = np.empty((len(texts), self._dim), dtype=np.float32)
        # Batches of texts of similar length need little padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        size = self.placement.batch_size(_BATCH)

        def work(start: int) -> None:
            chosen = order[start : start + size]
            found = self._rows_of([texts[index] for index in chosen])
            refuse_non_finite_rows(found, self.name)
            rows[chosen] = found

        for _ in side_by_side(work, range(0, len(texts), size)):
            pass
        return rows

    def _rows_of(self, texts: Sequence[str]) -> FloatArray:
        """Return the (B, dim) rows of a batch, computed by the current runtime."""
        if self._run is not None:
            return self._run(self.backbone.arrays(texts))
        import torch

        with torch.inference_mode():
            found: FloatArray = self.rows(self.tokens(texts)).float().cpu().numpy()
        return found

    def _tell_of_cut(self, texts: Sequence[str]) -> None:
        if self._is_told:
            return
        cut = next((text for text in texts if self.backbone.is_cut(text)), None)
        if cut is not None:
            self._is_told = True
            logger.warning(
                "%s reads the beginning of a long text only; it is cut: %.60s… (said once)",
                self.name,
                cut,
            )
