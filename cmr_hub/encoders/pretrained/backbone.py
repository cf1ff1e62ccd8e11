"""Interface of pretrained encoders of pictures, texts or both, which libraries load."""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.meta import without_weights
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    from cmr_hub.encoders.pretrained.files import PretrainedFiles
    from cmr_hub.types import Arrays, JSONObject


class Backbone(ABC):
    """A network loaded by a library, with its processor and tokeniser.

    The image side and the text side of a dual encoder (CLIP, SigLIP) share one backbone.

    Attributes:
        files: Files of the network.
        image_dim: Length of the row of a picture; None without an image side.
        text_dim: Length of the row of a text; None without a text side.
        logit_scale: Factor of cosine similarities in training, before the softmax or the sigmoid;
            None if the network has no such parameter.
    """

    files: PretrainedFiles
    image_dim: int | None
    text_dim: int | None
    logit_scale: float | None
    _model: Any

    def __init__(self) -> None:
        self.placement = Placement()
        # Tokenisers set truncation and padding on shared state before each call.
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.lock = threading.Lock()

    @property
    def network(self) -> nn.Module:
        """The network."""
        network: nn.Module = self._model
        return network

    @property
    @abstractmethod
    def image_transform(self) -> Callable[[Image.Image], dict[str, Tensor]]:
        """Picklable processor that maps an RGB picture to named tensors without batch dimension."""

    @abstractmethod
    def images(self, batch: dict[str, Tensor]) -> Tensor:
        """Map named tensors of B prepared pictures to (B, image_dim)."""

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Tokenise B texts into named tensors; truncate texts over the maximum length."""

    def arrays(self, texts: Sequence[str]) -> Arrays:
        """Return the result of `tokens` as named arrays."""
        return {name: tensor.numpy() for name, tensor in self.tokens(texts).items()}

    def tokeniser(self) -> tuple[JSONObject, str] | None:
        """Return a description of the tokeniser for `RecordedBackbone`.

        The first part has the options `lower` and `prompt`, which apply before tokenising. The
        second part is the content of a `tokenizer.json`, with truncation and padding. None if the
        tokeniser has no such format.
        """
        return None

    @abstractmethod
    def texts(self, tokens: dict[str, Tensor]) -> Tensor:
        """Map named tensors of B texts to (B, text_dim)."""

    @abstractmethod
    def is_cut(self, text: str) -> bool:
        """Return whether a text is longer than the maximum length of the network."""

    @abstractmethod
    def reload(self) -> None:
        """Reload the weights of the network from its files."""

    def to(self, placement: Placement) -> None:
        """Move the network, which both sides share."""
        if self.placement.loses_against(placement):
            self.reload()
        self.network.to(placement.device, placement.dtype)
        self.placement = placement

    def without_weights(self) -> Self:
        """Return a copy that prepares pictures and texts equally, but has no weights."""
        other = copy.copy(self)
        other._model = without_weights(self._model)
        return other

    def require(self, side: str) -> int:
        """Return the dimension of a side, `image` or `text`; raise CMRError if it is missing."""
        dim: int | None = self.image_dim if side == "image" else self.text_dim
        if dim is None:
            reads = "pictures" if side == "image" else "texts"
            raise CMRError(f"{self.files.name} cannot encode {reads}: choose another encoder")
        return dim
