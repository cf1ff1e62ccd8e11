"""The oracle is torchvision's Resize, CenterCrop and Normalize."""

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.preprocessing import Preprocessing, Squashing
from cmr_hub.encoders.torchvision_ops import ensure_torchvision

ensure_torchvision()
from torchvision.transforms import v2  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def smooth_picture(width, height, seed=0):
    """Random, but without edges: a shift by half a pixel changes little."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


def oracle(image, resize, crop):
    return v2.Compose(
        [
            v2.Resize(resize, interpolation=v2.InterpolationMode.BILINEAR, antialias=True),
            v2.CenterCrop(crop),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )(image)


@pytest.mark.parametrize("size", [257, 100, 640])
def test_square_pictures_are_equal(size):
    noise = np.random.default_rng(size).integers(0, 256, (size, size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    ours = Preprocessing(resize=257, crop=257)(image)
    # To rounding: the smallest step between two pixels' values is .017.
    torch.testing.assert_close(ours, oracle(image, 257, 257).as_subclass(torch.Tensor))


@pytest.mark.parametrize(("resize", "crop"), [(257, 257), (256, 224), (257, 225)])
@pytest.mark.parametrize(
    "size", [(500, 375), (375, 500), (333, 500), (160, 160), (64, 400), (1200, 300), (37, 41)]
)
def test_near_torchvision(resize, crop, size):
    image = smooth_picture(*size)
    ours = Preprocessing(resize=resize, crop=crop)(image)
    theirs = oracle(image, resize, crop)
    assert ours.shape == theirs.shape == (3, crop, crop)
    assert ours.dtype == torch.float32
    # torchvision rounds the long side and the corner of the crop to whole pixels, we do not.
    difference = (ours - theirs).abs() * torch.tensor(STD).view(3, 1, 1) * 255
    assert difference.mean() < 1.5
    assert difference.max() < 12


def test_normalisation_of_one_colour():
    image = Image.new("RGB", (50, 30), (51, 102, 255))
    channels = Preprocessing(resize=8, crop=8)(image).mean(dim=(1, 2))
    expected = (np.array([0.2, 0.4, 1.0]) - MEAN) / STD
    np.testing.assert_allclose(channels, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [(20_000, 10), (10, 20_000), (1, 1), (1, 3000), (2, 1)])
def test_odd_shapes_need_little_memory(size):
    image = Image.new("RGB", size, (9, 99, 199))
    tracemalloc.start()
    pixels = Preprocessing(resize=257, crop=257)(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pixels.shape == (3, 257, 257)
    assert torch.isfinite(pixels).all()
    assert pixels.std(dim=(1, 2)).max() < 1e-5
    assert peak < 4 * 2**20


def test_the_centre_is_what_is_seen():
    image = Image.new("RGB", (300, 100), "black")
    image.paste("white", (100, 0, 200, 100))
    pixels = Preprocessing(resize=50, crop=50, mean=(0, 0, 0), std=(1, 1, 1))(image)
    assert pixels[:, :, 1:-1].min() == 1


@pytest.mark.parametrize("shown", [Preprocessing(257, 225), Squashing(128, 128)])
def test_what_is_enough_of_a_large_picture_shows_the_same(shown, tmp_path):
    """Sharp edges and fine noise, as in photographs; to a few of 255 levels."""
    generator = np.random.default_rng(0)
    picture = np.asarray(smooth_picture(3000, 2200), dtype=float)
    picture += generator.normal(0, 12, picture.shape)
    picture[700:1500, 900:2100] = generator.integers(0, 256, 3)
    path = tmp_path / "large.jpg"
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    seen = read_image(path, enough=shown.enough)
    assert min(seen.size) < 1200
    difference = np.abs(shown.pixels(seen).astype(float) - shown.pixels(read_image(path)))
    assert difference.mean() < 1
    assert np.percentile(difference, 99) < 6
