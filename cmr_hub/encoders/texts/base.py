"""What a text encoder is: fitted on training text, it turns documents into feature rows."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.devices import Placement
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from cmr_hub.types import Arrays, Document, FloatArray, JSONObject


class TextEncoder(ABC):
    """Base of all text encoders.

    A document is all the sentences of one item; a query is a document of one sentence. Once fitted,
    an encoder may be asked from several threads at once.

    Attributes:
        name: what it is registered or loaded under.
        placement: the device and the precision that it runs in.
        network: what `rows` runs, so that it can be exported; None where there is no network, or
            none that is worth it.
    """

    name: ClassVar[str]
    placement: Placement = Placement()
    logit_scale: float | None = None
    """What cosines with pictures were multiplied by in training, if it learnt that."""
    network: Any = None

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a feature row. Raises CMRError before `fit`."""

    @property
    def fingerprint(self) -> str | None:
        """Identifies a pretrained encoder by all that changes its rows, so they can be cached.

        None for an encoder that learns from the training text.
        """
        return None

    @property
    def identity(self) -> str:
        """Changes with everything that changes a row: settings, vocabulary, weights."""
        settings, arrays = self.state()
        plain = json.dumps([self.name, settings], sort_keys=True) + sha256_of_arrays(arrays)
        return self.placement.marked(plain)

    def to(self, placement: Placement) -> Self:
        """Moves the network, if there is one, to a device and precision. Returns self."""
        return self

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """B single texts → what `rows` takes: named tensors of (B, T) or (B, ...)."""
        raise CMRError(f"{self.name} has no network")

    def rows(self, tokens: dict[str, Tensor]) -> Tensor:
        """Named tensors of B texts → (B, dim), by the network."""
        raise CMRError(f"{self.name} has no network")

    def run_by(self, run: Callable[[Arrays], FloatArray], placement: Placement) -> Self:
        """A copy without the network's weights.

        Args:
            run: what `rows` does, of arrays, in another runtime.
            placement: of that.
        """
        raise CMRError(f"{self.name} has no network")

    def with_parts(self, parts: Sequence[TextEncoder]) -> Self:
        """A copy with others in place of `parts`."""
        raise CMRError(f"{self.name} has no parts")

    @property
    def has_network(self) -> bool:
        """Whether it, or a part of it, can be exported."""
        return self.network is not None or any(part.has_network for part in self.parts)

    @property
    def exports_quickly(self) -> bool:
        """Whether ONNX Runtime runs it unless something else is asked for: it is faster with it,
        and its export takes a moment."""
        return False

    @property
    def parts(self) -> tuple[TextEncoder, ...]:
        """The encoders whose rows stand side by side in this one's; none for a simple encoder."""
        return ()

    @abstractmethod
    def fit(self, documents: Sequence[Document]) -> Self:
        """Learns vocabulary and weights from training documents only. Returns self."""

    @abstractmethod
    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """(N, dim) float32. A document with no known word is a zero row: ask `knows` first."""

    @abstractmethod
    def unknown_words(self, text: str) -> list[str]:
        """The words of `text` that carry nothing here, each once, in order."""

    @abstractmethod
    def knows(self, document: Document) -> bool:
        """Whether at least one word of the document is known."""

    @abstractmethod
    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        """All that `from_state` needs: a JSON object (settings, vocabulary) and arrays."""

    @classmethod
    @abstractmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        """The encoder that gave this state, equal to the bit. Raises ModelFormatError."""
