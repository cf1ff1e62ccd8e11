"""Augmentation of batches of pictures, with random numbers from torch's generator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def varied(pixels: Tensor, size: int, light: float = 1.0) -> Tensor:
    """Shift and resize pictures, and change their saturation, contrast and brightness.

    The shift is the same for the whole batch; the colours change separately for each picture.

    Args:
        pixels: (B, S, S, 3) uint8.
        size: output size in pixels.
        light: strength of the colour changes; 1 is up to 40 % of saturation and contrast.

    Returns:
        (B, 3, size, size) float32, normalised.
    """
    rows, side = len(pixels), pixels.shape[1]
    slack = side // 16
    left, top, margin = (int(number) for number in torch.randint(slack + 1, (3,)))
    crop = side - slack - margin
    values = resized(pixels[:, top : top + crop, left : left + crop], size)

    def factor(width: float) -> Tensor:
        return 1 + light * width * (2 * torch.rand(rows, 1, 1, 1) - 1)

    # Brightness, contrast and saturation combine to one scaling and one shift of each channel.
    grey, colour = values.mean(1, keepdim=True), factor(0.4)
    values = values.mul_(colour).add_(grey.mul_(1 - colour))
    return values.mul_(factor(0.4)).add_(factor(0.5) - 1)


def resized(pixels: Tensor, size: int) -> Tensor:
    """Resize (B, H, W, 3) uint8 to normalised (B, 3, size, size) float32 in channels_last."""
    planes = pixels.permute(0, 3, 1, 2)
    return normalised(F.interpolate(planes, (size, size), mode="bilinear", antialias=True))


def normalised(pixels: Tensor) -> Tensor:
    """Normalise (B, 3, S, S) uint8 to float32 with ImageNet's mean and standard deviation."""
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    return pixels.float().sub_(255 * mean.view(3, 1, 1)).div_(255 * std.view(3, 1, 1))
