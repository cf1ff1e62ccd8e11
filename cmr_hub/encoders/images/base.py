"""What an image encoder is: a frozen network that turns pictures into feature rows."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from tqdm import tqdm

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.images.parallel import side_by_side
from cmr_hub.encoders.meta import refuse_non_finite_rows
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image
    from torch import Tensor, nn

    from cmr_hub.encoders.images.preprocessing import Box
    from cmr_hub.types import FloatArray, ImageSource, JSONObject


class Shown(Protocol):
    """What a network is shown of a picture, as an array of fixed shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what `pixels` gives."""

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of what `pixels` gives."""

    @property
    def enough(self) -> int:
        """The shorter side, in pixels, from which more detail is averaged away by resizing."""

    @property
    def blank(self) -> npt.NDArray[np.uint8]:
        """(3,) colour that tells the network nothing, or little."""

    def pixels(self, image: Image.Image) -> npt.NDArray[Any]:
        """RGB picture → an array of `shape` and `dtype`."""

    def normalised(self, pixels: npt.NDArray[Any]) -> Any:
        """(B, *shape) → what `ImageEncoder.forward` takes."""

    def arrays(self, pixels: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """The same, as named arrays."""

    def canvas(self, image: Image.Image) -> tuple[npt.NDArray[np.uint8], Box]:
        """RGB picture → the (height, width, 3) pixels that parts are covered on, and where in the
        picture they lie."""

    def from_canvas(self, canvases: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """(B, height, width, 3) pixels of `canvas` → (B, *shape)."""


class ImageEncoder(ABC):
    """Base of all image encoders: pictures → feature rows. Several threads may ask one at once.

    Attributes:
        name: what it is registered or loaded under.
        dim: length of a feature row.
        preprocessing: what the network is shown of a picture.
        batch_size: pictures in one pass of the network, on the CPU.
        source: where the weights came from: `file`, or where they can be fetched again.
        placement: the device and the precision that it runs in.
        network: what `forward` runs, so that it can be exported; None where that is no torch
            network.
    """

    name: str
    dim: int
    preprocessing: Shown
    batch_size: int
    source: str
    placement: Placement = Placement()
    network: Any = None

    @property
    def class_names(self) -> Sequence[str]:
        """Of the classes whose posteriors end a feature row; none with most encoders."""
        return ()

    @property
    @abstractmethod
    def weights_sha256(self) -> str:
        """SHA-256 of all weights."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes with everything that changes a feature: network, weights, preprocessing."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """What `preprocessing.normalised` gives of B pictures → (B, dim) features."""

    @abstractmethod
    def to(self, placement: Placement) -> Self:
        """Moves the network to a device and precision. Returns self."""

    def cut(self, blocks: int) -> tuple[nn.Module, nn.Sequential]:
        """The frozen part and a copy of the last `blocks` blocks, to be trained.

        Raises:
            CMRError: this encoder cannot be fine-tuned, or has not so many blocks.
        """
        raise CMRError(
            f"{self.name} cannot be fine-tuned: train projectors on its features, "
            "or choose mobilenet_v2 or vgg16"
        )

    def with_tail(self, tail: nn.Sequential) -> ImageEncoder:
        """This encoder with the blocks that `cut` gave and training has changed since."""
        raise CMRError(f"{self.name} cannot be fine-tuned")

    def encode(self, images: Sequence[ImageSource], *, progress: bool = False) -> FloatArray:
        """Pictures → (N, dim) float32 features.

        Raises:
            ImageError: a picture cannot be read; the message names it.
            WeightsError: the network gives values that are not finite.
        """

        def prepare(chunk: Sequence[ImageSource]) -> npt.NDArray[Any]:
            shown = self.preprocessing
            pictures = (read_image(image, enough=shown.enough) for image in chunk)
            return np.stack([shown.pixels(picture) for picture in pictures])

        with tqdm(
            total=len(images),
            desc=f"{self.name} features",
            unit="image",
            disable=None if progress else True,
        ) as bar:
            return self._features(images, prepare, bar.update)

    def encode_pixels(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """(N, *shape) of `Preprocessing.pixels` → (N, dim) float32 features.

        The same rows as `encode` gives for the pictures.
        """
        return self._features(pixels, lambda chunk: chunk)

    def rows(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """(B, *shape) of `Preprocessing.pixels`, all at once → (B, dim) float32 features."""
        import torch

        with torch.inference_mode():
            found = self.forward(self.preprocessing.normalised(pixels))
            rows: FloatArray = found.float().cpu().numpy()
        return rows

    def _features(
        self,
        items: Sequence[Any] | npt.NDArray[Any],
        prepare: Callable[[Any], npt.NDArray[Any]],
        done: Callable[[int], object] = lambda count: None,
    ) -> FloatArray:
        rows = np.empty((len(items), self.dim), dtype=np.float32)
        size = self.placement.batch_size(self.batch_size)

        def work(start: int) -> int:
            chunk = items[start : start + size]
            features = self.rows(prepare(chunk))
            refuse_non_finite_rows(features, self.name)
            rows[start : start + len(chunk)] = features
            return len(chunk)

        for count in side_by_side(work, range(0, len(items), size)):
            done(count)
        return rows


def fingerprint_of(name: str, weights_sha256: str, preprocessing: JSONObject) -> str:
    """SHA-256 of an encoder's name, weights and preprocessing."""
    parts = [name, weights_sha256, preprocessing]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
