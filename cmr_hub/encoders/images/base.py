"""What an image encoder is: a frozen network that turns pictures into feature rows."""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.parallel import side_by_side
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.encoders.images.weights import check_state
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, ImageSource


class ImageEncoder(ABC):
    """Base of all image encoders; one may be asked from several threads at once.

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

        def prepare(chunk: Sequence[ImageSource]) -> Tensor:
            shown = self.preprocessing
            pictures = (read_image(image, enough=shown.enough) for image in chunk)
            return torch.stack([shown(picture) for picture in pictures])

        with tqdm(
            total=len(images),
            desc=f"{self.name} features",
            unit="image",
            disable=None if progress else True,
        ) as bar:
            return self._features(images, prepare, bar.update)

    def encode_pixels(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """(N, crop, crop, 3) of `Preprocessing.pixels` → (N, dim) float32 features.

        The same rows as `encode` gives for the pictures.
        """
        return self._features(pixels, self.preprocessing.normalised)

    def _features(
        self,
        items: Sequence[Any] | npt.NDArray[np.uint8],
        prepare: Callable[[Any], Tensor],
        done: Callable[[int], object] = lambda count: None,
    ) -> FloatArray:
        rows = np.empty((len(items), self.dim), dtype=np.float32)

        def work(start: int) -> int:
            batch = prepare(items[start : start + self.batch_size])
            with torch.inference_mode():
                features = self.network(batch.contiguous(memory_format=torch.channels_last))
            rows[start : start + len(batch)] = features.numpy()
            return len(batch)

        for count in side_by_side(work, range(0, len(items), self.batch_size)):
            done(count)
        return rows
