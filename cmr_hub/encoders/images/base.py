"""Base class of image encoders: frozen networks that map pictures to feature rows."""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, get_args

import numpy as np
from tqdm import tqdm

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.images.parallel import thread_map
from cmr_hub.encoders.meta import refuse_non_finite_rows
from cmr_hub.errors import CMRError, ImageError, shown
from cmr_hub.types import OnError

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image
    from torch import Tensor, nn

    from cmr_hub.encoders.images.preprocessing import Box
    from cmr_hub.types import FloatArray, ImageSource, JSONObject


logger = logging.getLogger(__name__)


class PicturePreprocessing(Protocol):
    """Preprocessing of a network: converts a picture to an array of fixed shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result of `pixels`."""

    @property
    def dtype(self) -> npt.DTypeLike:
        """Data type of the result of `pixels`."""

    @property
    def enough(self) -> int:
        """Sufficient length of the shorter side in pixels; larger pictures add no detail."""

    @property
    def blank(self) -> npt.NDArray[np.uint8]:
        """(3,) colour that has little or no information for the network."""

    def pixels(self, image: Image.Image) -> npt.NDArray[Any]:
        """Convert an RGB picture to an array of `shape` and `dtype`."""

    def normalised(self, pixels: npt.NDArray[Any]) -> Any:
        """Convert (B, *shape) to the input of `ImageEncoder.forward`."""

    def arrays(self, pixels: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Return the result of `normalised` as named arrays."""

    def canvas(self, image: Image.Image) -> tuple[npt.NDArray[np.uint8], Box]:
        """Return the (height, width, 3) pixels for occlusion, and their box in the picture."""

    def from_canvas(self, canvases: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Convert (B, height, width, 3) pixels of `canvas` to (B, *shape)."""


class ImageEncoder(ABC):
    """Base class of all image encoders. Encoders are thread-safe.

    A subclass defines `name`, `dim`, `preprocessing` and `forward`. If it has a network with
    weights, subclass `NetworkEncoder` instead.

    Attributes:
        name: Name under which it is registered or loaded.
        dim: Length of a feature row.
        preprocessing: Conversion of pictures to the input of the network.
        batch_size: Number of pictures per forward pass on the CPU.
        source: Origin of the weights: `file`, a name from which they can be downloaded again, or
            `code` if the encoder needs only its class.
        placement: Device and precision.
        network: The network that `forward` runs, for exporting; None if it is not a torch network.
    """

    name: str
    dim: int
    preprocessing: PicturePreprocessing
    batch_size: int = 16
    source: str = "code"
    placement: Placement = Placement()
    network: Any = None

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes whose posteriors end a feature row; empty for most encoders."""
        return ()

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of all weights; a constant if there are none."""
        return sha256_of_arrays({})

    @property
    def fingerprint(self) -> str:
        """Hash of everything that determines the features: network, weights, preprocessing.

        Changes of the code are not detected: rename an encoder if its rows change.
        """
        prepare: Any = self.preprocessing
        is_instance = is_dataclass(prepare) and not isinstance(prepare, type)
        settings = asdict(prepare) if is_instance else {}
        return fingerprint_of(self.name, self.weights_sha256, settings)

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """Map the result of `preprocessing.normalised` for B pictures to (B, dim) features.

        With `Preprocessing` the batch is a float32 tensor (B, 3, crop, crop).
        """

    def to(self, placement: Placement) -> Self:
        """Move the network, if there is one, to a device and precision; return self."""
        return self

    def cut(self, blocks: int) -> tuple[nn.Module, nn.Sequential]:
        """Return the frozen part and a trainable copy of the last `blocks` blocks.

        Raises:
            CMRError: The encoder cannot be fine-tuned, or has fewer blocks.
        """
        raise CMRError(
            f"{self.name} cannot be fine-tuned: train projectors on its features, "
            "or use mobilenet_v2 or vgg16"
        )

    def with_tail(self, tail: nn.Sequential) -> ImageEncoder:
        """Return this encoder with the trained blocks that `cut` returned."""
        raise CMRError(f"{self.name} cannot be fine-tuned")

    def encode(
        self,
        images: Sequence[ImageSource],
        *,
        batch_size: int | None = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> FloatArray:
        """Encode pictures as (N, dim) float32 features.

        Args:
            images: N paths, PIL images, bytes of files, or uint8 arrays (H, W, 3) or (H, W).
            batch_size: Number of pictures per forward pass. The default depends on the device.
            on_error: Action if a picture cannot be read: "raise" an ImageError, "skip" its row, or
                "none" to fill its row with NaN.
            progress: Show a progress bar.

        Raises:
            ImageError: A picture cannot be read; the message names it.
            WeightsError: The network returns values that are not finite.
            CMRError: `batch_size` is below 1, or `on_error` is invalid.
        """
        if on_error not in get_args(OnError):
            raise CMRError(
                f"on_error must be one of {', '.join(get_args(OnError))}, not {shown(on_error)}"
            )
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise CMRError(f"batch_size must be an integer of at least 1, not {shown(batch_size)}")
        preprocessing = self.preprocessing
        unread: list[int] = []

        def pixels(row: int, image: ImageSource) -> npt.NDArray[Any]:
            try:
                return preprocessing.pixels(read_image(image, enough=preprocessing.enough))
            except ImageError as error:
                if on_error == "raise":
                    raise
                logger.warning("picture %d of %d is left out: %s", row + 1, len(images), error)
                unread.append(row)
                return np.zeros(preprocessing.shape, preprocessing.dtype)

        def prepare(chunk: Sequence[tuple[int, ImageSource]]) -> npt.NDArray[Any]:
            return np.stack([pixels(row, image) for row, image in chunk])

        with tqdm(
            total=len(images),
            desc=f"{self.name} features",
            unit="image",
            disable=None if progress else True,
        ) as bar:
            rows = self._features(list(enumerate(images)), prepare, bar.update, batch_size)
        if on_error == "skip":
            return np.delete(rows, unread, axis=0)
        rows[unread] = np.nan
        return rows

    def encode_pixels(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """Encode the (N, *shape) results of `Preprocessing.pixels` as (N, dim) float32 features.

        The rows equal those of `encode` for the same pictures.
        """
        return self._features(pixels, lambda chunk: chunk)

    def rows(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """Encode (B, *shape) results of `Preprocessing.pixels` in one batch as (B, dim) float32."""
        import torch

        with torch.inference_mode():
            features = self.forward(self.preprocessing.normalised(pixels))
            rows: FloatArray = features.float().cpu().numpy()
        return rows

    def _features(
        self,
        items: Sequence[Any] | npt.NDArray[Any],
        prepare: Callable[[Any], npt.NDArray[Any]],
        done: Callable[[int], object] = lambda count: None,
        batch_size: int | None = None,
    ) -> FloatArray:
        rows = np.empty((len(items), self.dim), dtype=np.float32)
        size = batch_size or self.placement.batch_size(self.batch_size)

        def work(start: int) -> int:
            chunk = items[start : start + size]
            features = self.rows(prepare(chunk))
            refuse_non_finite_rows(features, self.name)
            rows[start : start + len(chunk)] = features
            return len(chunk)

        for count in thread_map(work, range(0, len(items), size)):
            done(count)
        return rows


def fingerprint_of(name: str, weights_sha256: str, preprocessing: JSONObject) -> str:
    """Return the SHA-256 of the name, the weights and the preprocessing of an encoder."""
    parts = [name, weights_sha256, preprocessing]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
