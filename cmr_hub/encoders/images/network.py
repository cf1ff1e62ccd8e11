"""Image encoders that consist of one network and its state dict."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.images.base import ImageEncoder, fingerprint_of
from cmr_hub.encoders.meta import refuse_meta_tensors
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.images.preprocessing import Preprocessing


class NetworkEncoder(ImageEncoder):
    """Base class of image encoders whose network is built by this package.

    Args:
        state: Weights of the complete network, under the key names of `build`.
        source: Origin of the weights: `file`; or `torchvision:<weights name>` or
            `package:<name>`, which need not be saved with a model.

    Raises:
        WeightsError: The weights are of another network, or not finite.
    """

    preprocessing: Preprocessing
    rows_are: ClassVar[str] = ""
    """Content of a row, if it has changed since the encoder got its name."""
    # With larger batches the allocator returns the memory of the activations to the system after
    # each layer, and the page faults cost more than the batch saves.
    batch_size = 4

    def __init__(self, state: Mapping[str, Tensor], source: str) -> None:
        # Imported here because class attributes are also used without torch.
        import torch

        from cmr_hub.encoders.images.weights import check_state

        with torch.device("meta"):
            blueprint = self.build()
        self.state = check_state(blueprint, state, self.name)
        self.source = source
        self.network = self._features_network()

    @staticmethod
    @abstractmethod
    def build() -> Any:
        """Build the complete network as its library defines it, without loading weights."""

    @staticmethod
    @abstractmethod
    def blocks(network: Any) -> nn.Sequential:
        """Return the part of a network that maps (B, 3, H, W) pixels to (B, dim) features.

        It can be cut between any two of its blocks, to fine-tune the last ones.
        """

    @staticmethod
    def for_inference(features: nn.Sequential) -> nn.Module:
        """Return an equivalent network that is faster at inference; default: the same network."""
        return features

    @staticmethod
    @abstractmethod
    def download() -> tuple[Mapping[str, Tensor], str]:
        """Return the published weights and their source name."""

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of all weights, independent of the file format."""
        return sha256_of_arrays({name: value.numpy() for name, value in self.state.items()})

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that determines the features: network, weights, preprocessing."""
        return self.fingerprint_with(self.weights_sha256)

    @classmethod
    def fingerprint_with(cls, weights_sha256: str) -> str:
        """Return the fingerprint of this encoder with weights of this SHA-256."""
        return fingerprint_of(cls.rows_are or cls.name, weights_sha256, asdict(cls.preprocessing))

    def forward(self, batch: Tensor) -> Tensor:
        """Map (B, 3, H, W) pixels to (B, dim) features."""
        import torch

        placed = self.placement.tensor(batch.contiguous(memory_format=torch.channels_last))
        features: Tensor = self.network(placed)
        return features

    def to(self, placement: Placement) -> Self:
        if self.placement.loses_against(placement):
            self.network = self._features_network()
        self.network = self.network.to(placement.device, placement.dtype)
        self.placement = placement
        return self

    def cut(self, blocks: int) -> tuple[nn.Module, nn.Sequential]:
        """Return the frozen part and a trainable copy of the last `blocks` blocks.

        Their composition maps (B, 3, H, W) pixels to (B, dim) features.

        Raises:
            CMRError: `blocks` is not in [1, number of blocks − 1].
        """
        import torch
        from torch import nn

        parts = list(self.blocks(self._complete()))
        if not 0 < blocks < len(parts):
            raise CMRError(
                f"{self.name} can be fine-tuned in its last 1 to {len(parts) - 1} blocks, "
                f"not in {blocks}"
            )
        tail = copy.deepcopy(nn.Sequential(*parts[-blocks:]))
        frozen = self.for_inference(nn.Sequential(*parts[:-blocks])).requires_grad_(False)
        return frozen.to(memory_format=torch.channels_last), tail  # type: ignore[call-overload]

    def with_tail(self, tail: nn.Sequential) -> Self:
        """Return this encoder with the trained blocks that `cut` returned."""
        from torch import nn

        network = self._complete()
        state = {name: value.clone() for name, value in tail.state_dict().items()}
        last = nn.Sequential(*list(self.blocks(network))[-len(tail) :])
        last.load_state_dict(state, assign=True)
        return type(self)(network.state_dict(), "file")

    def _features_network(self) -> nn.Module:
        """Build the network that computes features, with the original weights."""
        import torch

        features = self.for_inference(self.blocks(self._complete())).requires_grad_(False)
        refuse_meta_tensors(features, self.name)
        placed: nn.Module = features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed

    def _complete(self) -> Any:
        import torch

        with torch.device("meta"):
            network = self.build()
        network.load_state_dict(self.state, assign=True)
        return network.eval()
