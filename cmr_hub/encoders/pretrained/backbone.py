"""What a pretrained encoder of pictures, of texts or of both must do; libraries do the rest."""

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


class Backbone(ABC):
    """A network that a library has loaded, with its own processor and tokeniser.

    The image side and the text side of a dual encoder (CLIP, SigLIP) share one backbone.

    Attributes:
        files: what it was loaded from.
        image_dim: length of a picture's row; None where it reads no pictures.
        text_dim: length of a text's row; None where it reads no texts.
        logit_scale: what cosine similarities were multiplied by in training, before the softmax
            or the sigmoid; None where the network has no such parameter.
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
        """The network itself."""
        found: nn.Module = self._model
        return found

    @property
    @abstractmethod
    def image_transform(self) -> Callable[[Image.Image], dict[str, Tensor]]:
        """The library's processor: an RGB picture → named tensors without a batch dimension.

        Can be pickled, so that other processes can prepare pictures.
        """

    @abstractmethod
    def images(self, batch: dict[str, Tensor]) -> Tensor:
        """Named tensors of B prepared pictures → (B, image_dim)."""

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """B texts → named tensors. A text longer than the network reads is cut."""

    @abstractmethod
    def texts(self, tokens: dict[str, Tensor]) -> Tensor:
        """Named tensors of B texts → (B, text_dim)."""

    @abstractmethod
    def is_cut(self, text: str) -> bool:
        """Whether a text is longer than the network reads."""

    @abstractmethod
    def reload(self) -> None:
        """Reads the network's weights anew from its files."""

    def to(self, placement: Placement) -> None:
        """Moves the network, for both of its sides."""
        if self.placement.loses_against(placement):
            self.reload()
        self.network.to(placement.device, placement.dtype)
        self.placement = placement

    def without_weights(self) -> Self:
        """A copy that prepares pictures and texts as this does, with no network to run."""
        other = copy.copy(self)
        other._model = without_weights(self._model)
        return other

    def require(self, side: str) -> int:
        """The dimension of a side, `image` or `text`. Raises CMRError where there is none."""
        dim: int | None = self.image_dim if side == "image" else self.text_dim
        if dim is None:
            reads = "pictures" if side == "image" else "texts"
            raise CMRError(f"{self.files.name} reads no {reads}: choose another encoder for them")
        return dim
