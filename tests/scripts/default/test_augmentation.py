"""Changes to batches of pictures."""

import pytest
import torch

from scripts.default.augmentation import normalised, resized, varied

MEAN = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
STD = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)


def test_normalised():
    pixels = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    expected = (pixels / 255 - MEAN) / STD
    torch.testing.assert_close(normalised(pixels), expected, rtol=1e-5, atol=1e-5)


def test_resized():
    pixels = torch.full((2, 40, 40, 3), 255, dtype=torch.uint8)
    expected = ((1 - MEAN) / STD).expand(2, 3, 32, 32)
    torch.testing.assert_close(resized(pixels, 32), expected, rtol=1e-5, atol=1e-5)


def test_no_change_of_light_leaves_the_colours():
    pixels = torch.tensor((200, 40, 90), dtype=torch.uint8).expand(3, 64, 64, 3).contiguous()
    found = varied(pixels, 32, light=0.0)
    expected = (torch.tensor((200, 40, 90)).view(3, 1, 1) / 255 - MEAN) / STD
    torch.testing.assert_close(found, expected.expand(3, 3, 32, 32), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("light", [0.5, 1.0])
def test_each_channel_is_scaled_and_shifted_within_bounds(light):
    """Grey pictures have no saturation to change: contrast is one factor, brightness one sum."""
    torch.manual_seed(0)
    grey = torch.arange(0, 256, 4, dtype=torch.uint8)  # a ramp from left to right
    pixels = grey.view(1, 1, 64, 1).expand(200, 64, 64, 3).contiguous()
    before = pixels.clone()
    found = varied(pixels, 64, light)
    assert torch.equal(pixels, before)
    assert found.is_contiguous(memory_format=torch.channels_last)
    spread = found[:, 1].amax((1, 2)) - found[:, 1].amin((1, 2))
    # A shifted box leaves out up to an eighth of the ramp.
    assert spread.max() <= (1 + 0.4 * light) * 4.5
    assert spread.max() / spread.min() > 1 + 0.6 * light
    assert spread.max() / spread.min() <= (1 + 0.4 * light) / (1 - 0.4 * light) + 1e-3


def test_the_callers_seed_decides():
    pixels = torch.randint(256, (4, 64, 64, 3), dtype=torch.uint8)
    torch.manual_seed(1)
    first = varied(pixels, 48)
    other = varied(pixels, 48)
    torch.manual_seed(1)
    assert torch.equal(varied(pixels, 48), first)
    assert not torch.equal(other, first)
