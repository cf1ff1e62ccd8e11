"""What an image encoder is: a frozen network that turns pictures into feature rows."""

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
from cmr_hub.encoders.images.parallel import side_by_side
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

    One of one's own has a `name`, a `dim`, a `preprocessing` and `forward`; if it has a network
    and weights, it is better a subclass of `NetworkEncoder`.

    Attributes:
        name: what it is registered or loaded under.
        dim: length of a feature row.
        preprocessing: what the network is shown of a picture.
        batch_size: pictures in one pass of the network, on the CPU.
        source: where the weights came from: `file`; where they can be fetched again; or `code`,
            where it needs nothing but its class.
        placement: the device and the precision that it runs in.
        network: what `forward` runs, so that it can be exported; None where that is no torch
            network.
    """

    name: str
    dim: int
    preprocessing: Shown
    batch_size: int = 16
    source: str = "code"
    placement: Placement = Placement()
    network: Any = None

    @property
    def class_names(self) -> Sequence[str]:
        """Of the classes whose posteriors end a feature row; none with most encoders."""
        return ()

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of all weights; of an encoder that has none that of nothing."""
        return sha256_of_arrays({})

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes a feature: network, weights, preprocessing.

        It cannot know of changed code: an encoder whose rows change must get another name.
        """
        seen: Any = self.preprocessing
        settings = asdict(seen) if is_dataclass(seen) and not isinstance(seen, type) else {}
        return fingerprint_of(self.name, self.weights_sha256, settings)

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """What `preprocessing.normalised` gives of B pictures → (B, dim) features.

        With `Preprocessing` that is a float32 tensor (B, 3, crop, crop).
        """

    def to(self, placement: Placement) -> Self:
        """Moves the network, if there is one, to a device and precision. Returns self."""
        return self

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

    def encode(
        self,
        images: Sequence[ImageSource],
        *,
        batch_size: int | None = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> FloatArray:
        """Pictures → (N, dim) float32 features.

        Args:
            images: N paths, open pictures, bytes of files, or uint8 arrays (H, W, 3) or (H, W).
            batch_size: pictures in one pass of the network; default: what suits the device.
            on_error: what becomes of a picture that cannot be read: "raise" an ImageError; "skip"
                its row, so that there are fewer; or "none": its row is NaN.
            progress: show how far it is.

        Raises:
            ImageError: a picture cannot be read; the message names it.
            WeightsError: the network gives values that are not finite.
            CMRError: `batch_size` is below 1, or there is no such `on_error`.
        """
        if on_error not in get_args(OnError):
            raise CMRError(
                f"on_error must be one of {', '.join(get_args(OnError))}, not {shown(on_error)}"
            )
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise CMRError(f"batch_size must be a whole number from 1 on, not {shown(batch_size)}")
        seen = self.preprocessing
        unread: list[int] = []

        def pixels(place: int, image: ImageSource) -> npt.NDArray[Any]:
            try:
                return seen.pixels(read_image(image, enough=seen.enough))
            except ImageError as error:
                if on_error == "raise":
                    raise
                logger.warning("picture %d of %d is left out: %s", place + 1, len(images), error)
                unread.append(place)
                return np.zeros(seen.shape, seen.dtype)

        def prepare(chunk: Sequence[tuple[int, ImageSource]]) -> npt.NDArray[Any]:
            return np.stack([pixels(place, image) for place, image in chunk])

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

        for count in side_by_side(work, range(0, len(items), size)):
            done(count)
        return rows


def fingerprint_of(name: str, weights_sha256: str, preprocessing: JSONObject) -> str:
    """SHA-256 of an encoder's name, weights and preprocessing."""
    parts = [name, weights_sha256, preprocessing]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
