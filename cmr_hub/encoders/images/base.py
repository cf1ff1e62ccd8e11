"""What an image encoder is: a frozen network that turns pictures into feature rows."""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.parallel import side_by_side
from cmr_hub.encoders.images.weights import check_state
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray, ImageSource

_AREA = (0.35, 1.0)
_ASPECT = 4 / 3


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
        return self._cut_out(image, (side, side), (0.5, 0.5))

    def augmented(self, image: Image.Image, generator: np.random.Generator) -> Tensor:
        """A random view, as networks are trained with: RGB picture → (3, crop, crop) float32.

        A box of 35 to 100 % of the picture's area and an aspect ratio of 3:4 to 4:3, anywhere in
        the picture; mirrored every other time (Szegedy et al. 2015, arXiv 1409.4842, whose least
        area is 8 %: a small box no longer shows what the sentences tell of).
        """
        area = image.width * image.height * generator.uniform(*_AREA)
        aspect = np.exp(generator.uniform(-1, 1) * np.log(_ASPECT))
        size = min(image.width, (area * aspect) ** 0.5), min(image.height, (area / aspect) ** 0.5)
        view = self._cut_out(image, size, tuple(generator.uniform(size=2)))
        return view.flip(2) if generator.uniform() < 0.5 else view

    def _cut_out(
        self, image: Image.Image, size: tuple[float, float], place: tuple[float, ...]
    ) -> Tensor:
        """A box of this width and height; `place` 0 is at the left or top edge, 1 at the other."""
        left, top = (image.width - size[0]) * place[0], (image.height - size[1]) * place[1]
        square = image.resize(
            (self.crop, self.crop),
            Image.Resampling.BILINEAR,
            box=(left, top, left + size[0], top + size[1]),
        )
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1).float().div_(255)
        return pixels.sub_(_per_channel(self.mean)).div_(_per_channel(self.std))


@dataclass(frozen=True, slots=True)
class Squashing(Preprocessing):
    """The whole picture, squashed to a square: nothing at its sides is lost.

    Args:
        crop_mode: always "squash".
    """

    crop_mode: Literal["squash"] = "squash"

    def __call__(self, image: Image.Image) -> Tensor:
        """RGB picture → (3, crop, crop) float32."""
        return self._cut_out(image, image.size, (0.0, 0.0))


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
            blueprint = self.build()
        self.state = check_state(blueprint, state, self.name)
        self.source = source
        features = self.for_inference(self.blocks(self._whole())).requires_grad_(False)
        self.network = features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    @abstractmethod
    def build() -> Any:
        """The whole network as torchvision defines it, weights not yet set."""

    @staticmethod
    @abstractmethod
    def blocks(network: Any) -> nn.Sequential:
        """The part of it that maps (B, 3, H, W) pixels to (B, dim) features.

        Between any two of its blocks it may be cut, to fine-tune the last ones.
        """

    @staticmethod
    def for_inference(features: nn.Sequential) -> nn.Module:
        """The same function of (B, 3, H, W) pixels, faster if there is a way, never trained."""
        return features

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

    def cut(self, blocks: int) -> tuple[nn.Module, nn.Sequential]:
        """The frozen part, and a copy of the last `blocks` blocks that can be trained.

        One after the other they map (B, 3, H, W) pixels to (B, dim) features.

        Raises:
            CMRError: `blocks` is not in [1, number of blocks − 1].
        """
        parts = list(self.blocks(self._whole()))
        if not 0 < blocks < len(parts):
            raise CMRError(
                f"{self.name} can be fine-tuned in its last 1 to {len(parts) - 1} blocks, "
                f"not in {blocks}"
            )
        tail = copy.deepcopy(nn.Sequential(*parts[-blocks:]))
        frozen = self.for_inference(nn.Sequential(*parts[:-blocks])).requires_grad_(False)
        return frozen.to(memory_format=torch.channels_last), tail  # type: ignore[call-overload]

    def with_tail(self, tail: nn.Sequential) -> Self:
        """This encoder with the blocks that `cut` gave and training has changed since."""
        network = self._whole()
        state = {name: value.clone() for name, value in tail.state_dict().items()}
        own = nn.Sequential(*list(self.blocks(network))[-len(tail) :])
        own.load_state_dict(state, assign=True)
        return type(self)(network.state_dict(), "file")

    def _whole(self) -> Any:
        with torch.device("meta"):
            network = self.build()
        network.load_state_dict(self.state, assign=True)
        return network.eval()

    def encode(self, images: Sequence[ImageSource], *, progress: bool = False) -> FloatArray:
        """Pictures → (N, dim) float32 features.

        Raises:
            ImageError: a picture cannot be read; the message names it.
        """
        rows = np.empty((len(images), self.dim), dtype=np.float32)

        def work(start: int) -> int:
            chunk = images[start : start + self.batch_size]
            batch = torch.stack([self.preprocessing(read_image(image)) for image in chunk])
            with torch.inference_mode():
                features = self.network(batch.contiguous(memory_format=torch.channels_last))
            rows[start : start + len(chunk)] = features.numpy()
            return len(chunk)

        with tqdm(
            total=len(images),
            desc=f"{self.name} features",
            unit="image",
            disable=None if progress else True,
        ) as bar:
            for done in side_by_side(work, range(0, len(images), self.batch_size)):
                bar.update(done)
        return rows
