"""What an image encoder is: a frozen network that turns pictures into feature rows."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.weights import check_state

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray, ImageSource


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Resize the shorter side, cut out the centre, normalise.

    Args:
        resize: length of the shorter side after resizing, in pixels.
        crop: side of the centre square cut out of that, in pixels.
        mean, std: per channel, on values in [0, 1].
    """

    resize: int
    crop: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __call__(self, image: Image.Image) -> Tensor:
        """RGB picture → (3, crop, crop) float32.

        Resizing and cropping are one step, straight from the centre of the original: a picture of
        20,000 × 10 pixels never grows to 514,000 × 257 on the way.
        """
        side = min(image.size) * self.crop / self.resize
        left, top = (image.width - side) / 2, (image.height - side) / 2
        square = image.resize(
            (self.crop, self.crop),
            Image.Resampling.BILINEAR,
            box=(left, top, left + side, top + side),
        )
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1).float().div_(255)
        return pixels.sub_(_per_channel(self.mean)).div_(_per_channel(self.std))


def _per_channel(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)


class ImageEncoder(ABC):
    """Base of all image encoders.

    Args:
        state: the weights of the whole network, under torchvision's key names.
        source: where they came from: `file`, or `torchvision:<weights name>`, which can be
            downloaded again and so need not be kept beside a saved model.

    Raises:
        WeightsError: the weights are not of this network, or not finite.
    """

    name: ClassVar[str]
    dim: ClassVar[int]
    preprocessing: ClassVar[Preprocessing]
    # Small on purpose: larger batches need activations so big that the allocator returns them to
    # the system after each layer, and the page faults cost more than the batch saves.
    batch_size: ClassVar[int] = 4

    def __init__(self, state: Mapping[str, Tensor], source: str) -> None:
        with torch.device("meta"):
            network = self.build()
        self.state = check_state(network, state, self.name)
        self.source = source
        network.load_state_dict(self.state, assign=True)
        features = self.feature_network(network.eval()).requires_grad_(False)
        self.network = features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    @abstractmethod
    def build() -> Any:
        """The whole network as torchvision defines it, weights not yet set."""

    @staticmethod
    @abstractmethod
    def feature_network(network: Any) -> nn.Module:
        """The part of it that maps (B, 3, H, W) pixels to (B, dim) features."""

    @staticmethod
    @abstractmethod
    def download() -> tuple[Mapping[str, Tensor], str]:
        """torchvision's own weights and their source name."""

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of all weights; the same for the same weights in any file format."""
        return sha256_of_arrays({name: value.numpy() for name, value in self.state.items()})

    @cached_property
    def fingerprint(self) -> str:
        """Changes with everything that changes a feature: network, weights, preprocessing."""
        parts = [self.name, self.weights_sha256, asdict(self.preprocessing)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def encode(self, images: Sequence[ImageSource], *, progress: bool = False) -> FloatArray:
        """Pictures → (N, dim) float32 features.

        Each core decodes and encodes its own small batches: threads that share one convolution
        wait for each other whenever another program takes a core.

        Raises:
            ImageError: a picture cannot be read; the message names it.
        """
        rows = np.empty((len(images), self.dim), dtype=np.float32)
        starts = range(0, len(images), self.batch_size)

        def work(start: int) -> int:
            chunk = images[start : start + self.batch_size]
            batch = torch.stack([self.preprocessing(read_image(image)) for image in chunk])
            with torch.inference_mode():
                features = self.network(batch.contiguous(memory_format=torch.channels_last))
            rows[start : start + len(chunk)] = features.numpy()
            return len(chunk)

        threads = torch.get_num_threads()
        with tqdm(
            total=len(images),
            desc=f"{self.name} features",
            unit="image",
            disable=None if progress else True,
        ) as bar:
            if threads == 1 or len(starts) == 1:
                for start in starts:
                    bar.update(work(start))
                return rows
            try:
                with ThreadPoolExecutor(
                    threads, initializer=torch.set_num_threads, initargs=(1,)
                ) as pool:
                    for done in pool.map(work, starts):
                        bar.update(done)
            finally:
                torch.set_num_threads(threads)
        return rows
