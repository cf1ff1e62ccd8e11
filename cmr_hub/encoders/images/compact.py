"""A small network of this project: 512-d features of 128 pixels, a few megabytes of weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from cmr_hub.encoders.images.fusion import fold_batch_norm
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.images.preprocessing import Squashing
from cmr_hub.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

_DIM = 512
_STEM = 24
# Output channels, blocks, expansion. The first block of each stage halves height and width.
_STAGES = ((32, 2, 2), (64, 2, 3), (96, 3, 4), (160, 3, 4))


class CompactEncoder(NetworkEncoder):
    """Inverted residuals (Sandler et al. 2018, arXiv 1801.04381) with 1.3 million weights.

    A block that halves the size uses one dense 3 × 3 convolution for the expansion instead of a
    1 × 1 and a depthwise 3 × 3 convolution ("fused": Tan and Le 2021, EfficientNetV2, arXiv
    2104.00298). With so few channels it costs no more on a CPU, least of all in training.
    """

    name = "compact"
    dim = _DIM
    preprocessing = Squashing(resize=128, crop=128)
    batch_size = 16  # suits pictures of this size; see benchmarks/encoders.py

    @staticmethod
    def build() -> nn.Sequential:
        parts: dict[str, nn.Module] = {"stem": _convolution(3, _STEM, 3, stride=2)}
        channels = _STEM
        for stage, (out, blocks, expansion) in enumerate(_STAGES, start=1):
            for block in range(blocks):
                make = _Inverted if block else _fused
                parts[f"stage{stage}_{block}"] = make(channels, out, expansion)
                channels = out
        last = _convolution(channels, _DIM, 1)
        parts["head"] = nn.Sequential(last, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(OrderedDict(parts))

    @staticmethod
    def blocks(network: Any) -> nn.Sequential:
        blocks: nn.Sequential = network
        return blocks

    @staticmethod
    def for_inference(features: nn.Sequential) -> nn.Module:
        # Batch norm becomes part of the convolution before it.
        return fold_batch_norm(features)

    @staticmethod
    def download() -> tuple[Mapping[str, Tensor], str]:
        raise WeightsError(
            "compact has no weights to download: pass a safetensors file (--image-weights FILE), "
            "for example image_encoder.safetensors of the model sketch"
        )


def _convolution(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, linear: bool = False
) -> nn.Sequential:
    """Return a convolution, a batch norm and, unless `linear`, a hard swish."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, *([] if linear else [nn.Hardswish(inplace=True)]))


def _fused(channels: int, out: int, expansion: int) -> nn.Sequential:
    wide = channels * expansion
    return nn.Sequential(
        _convolution(channels, wide, 3, stride=2), _convolution(wide, out, 1, linear=True)
    )


class _Inverted(nn.Module):
    """Inverted residual block: x + narrow(depthwise(wide(x)))."""

    def __init__(self, channels: int, out: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        narrow = nn.BatchNorm2d(out)
        # The block starts as the identity, so that gradients pass.
        nn.init.zeros_(narrow.weight)
        self.residual = nn.Sequential(
            _convolution(channels, wide, 1),
            _convolution(wide, wide, 3, groups=wide),
            nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), narrow),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.residual(x)
        return result
