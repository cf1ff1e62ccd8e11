"""Base class of text encoders, which map documents to feature rows."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.texts.tokens import WORDS_VERSION
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from cmr_hub.types import Arrays, Document, FloatArray, JSONObject


class TextEncoder(ABC):
    """Base class of all text encoders.

    A document is all sentences of one item; a query is a document of one sentence. Fitted encoders
    are thread-safe.

    Attributes:
        name: Name under which it is registered or loaded.
        placement: Device and precision.
        network: The network that `rows` runs, for exporting; None if there is no network or
            exporting it does not make it faster.
    """

    name: ClassVar[str]
    placement: Placement = Placement()
    words_version: int = WORDS_VERSION
    """Version of `tokens.words` with which the encoder was fitted."""
    logit_scale: float | None = None
    """Learnt factor of cosine similarities with pictures, if there is one."""
    network: Any = None

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a feature row. Raises CMRError before `fit`."""

    @property
    def fingerprint(self) -> str | None:
        """Hash of everything that determines the rows of a pretrained encoder, for caching.

        It is None for an encoder that is fitted on training texts.
        """
        return None

    @property
    def identity(self) -> str:
        """Hash of everything that determines a row: settings, vocabulary, weights."""
        settings, arrays = self.state()
        plain = json.dumps([self.name, settings], sort_keys=True) + sha256_of_arrays(arrays)
        return self.placement.marked(plain)

    def to(self, placement: Placement) -> Self:
        """Move the network, if there is one, to a device and precision; return self."""
        return self

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Tokenise B texts into the input of `rows`: named tensors (B, T) or (B, ...)."""
        raise CMRError(f"the text encoder {self.name} has no network that could be run or exported")

    def rows(self, tokens: dict[str, Tensor]) -> Tensor:
        """Map named tensors of B texts to (B, dim) with the network."""
        raise CMRError(f"the text encoder {self.name} has no network that could be run or exported")

    def run_by(self, run: Callable[[Arrays], FloatArray], placement: Placement) -> Self:
        """Return a copy without the weights of the network, which uses another runtime.

        Args:
            run: Replacement of `rows` for arrays.
            placement: Placement of the other runtime.
        """
        raise CMRError(f"the text encoder {self.name} has no network that could be run or exported")

    def with_parts(self, parts: Sequence[TextEncoder]) -> Self:
        """Return a copy with other `parts`."""
        raise CMRError(f"the text encoder {self.name} has no parts that could be replaced")

    @property
    def has_network(self) -> bool:
        """Whether the encoder or one of its parts can be exported."""
        return self.network is not None or any(part.has_network for part in self.parts)

    @property
    def exports_quickly(self) -> bool:
        """Whether ONNX Runtime is the default backend, because it is faster and exports quickly."""
        return False

    @property
    def parts(self) -> tuple[TextEncoder, ...]:
        """Encoders whose rows are concatenated; empty for simple encoders."""
        return ()

    @abstractmethod
    def fit(self, documents: Sequence[Document]) -> Self:
        """Learn vocabulary and weights from training documents; return self."""

    @abstractmethod
    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32 rows; documents without a known word get zero rows."""

    @abstractmethod
    def unknown_words(self, text: str) -> list[str]:
        """Return the words of `text` that have no effect on its row, each once, in order."""

    @abstractmethod
    def knows(self, document: Document) -> bool:
        """Return whether at least one word of the document is known."""

    @abstractmethod
    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        """Return the arguments of `from_state`: settings and vocabulary as JSON, and arrays."""

    @classmethod
    @abstractmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        """Restore an encoder from its state, bit for bit. Raises ModelFormatError."""
