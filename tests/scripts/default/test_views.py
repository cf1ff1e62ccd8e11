"""Views of pictures and the teacher's features of them."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.errors import ImageError, TrainingError
from scripts.default import views
from scripts.default.augmentation import normalised
from scripts.default.views import (
    PixelSettings,
    Teacher,
    ViewSettings,
    draw_pixels,
    draw_views,
)

ensure_torchvision()
from torchvision.models import mobilenet_v2  # noqa: E402

SETTINGS = ViewSettings(views=3, size=32, teacher_size=33)


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    monkeypatch.setattr(views, "low_precision", nullcontext)


@pytest.fixture
def teacher(mobilenet):
    return Teacher(mobilenet)


@pytest.fixture
def paths(tmp_path):
    generator = np.random.default_rng(0)
    found = []
    for number in range(4):
        cells = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        found.append(tmp_path / f"{number}.png")
        Image.fromarray(cells).resize((60 + 10 * number, 50), Image.Resampling.BILINEAR).save(
            found[-1]
        )
    return found


@pytest.fixture
def asked(monkeypatch):
    """Counts the teacher's views."""
    seen = []
    call = Teacher.__call__
    monkeypatch.setattr(
        Teacher, "__call__", lambda self, pixels: seen.append(len(pixels)) or call(self, pixels)
    )
    return seen


def test_the_teacher_is_torchvisions_network(teacher, mobilenet_state):
    network = mobilenet_v2()
    network.load_state_dict(mobilenet_state)
    pixels = torch.randint(256, (3, 65, 33, 3), dtype=torch.uint8)
    with torch.inference_mode():
        found = network.eval().features(normalised(pixels.permute(0, 3, 1, 2)))
        logits = network(normalised(pixels.permute(0, 3, 1, 2)))
    assert found.shape == (3, 1280, 3, 2)
    expected = torch.stack(
        # The middle row of the map belongs to both halves.
        [found[:, :, rows, at].mean(2) for rows in (slice(0, 2), slice(1, 3)) for at in (0, 1)],
        dim=1,
    )
    torch.testing.assert_close(teacher(pixels), expected, rtol=1e-3, atol=1e-3)
    pooled = found.mean((2, 3))
    weight, bias = teacher.classifier[:, :-1], teacher.classifier[:, -1]
    torch.testing.assert_close(pooled @ weight.T + bias, logits, rtol=1e-3, atol=1e-3)


def test_the_first_view_is_what_the_encoder_sees(teacher, paths, tmp_path):
    drawn = draw_views(paths, teacher, SETTINGS, tmp_path / "views")
    assert drawn.pixels.shape == (4, 3, 32, 32, 3)
    for path, pixels in zip(paths, drawn.pixels[:, 0], strict=True):
        expected = Preprocessing(resize=32, crop=32)(read_image(path))
        found = normalised(pixels.permute(2, 0, 1)[None])[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_teacher_sees_the_same_piece(teacher, paths, tmp_path, monkeypatch):
    shown = []
    call = Teacher.__call__
    monkeypatch.setattr(
        Teacher, "__call__", lambda self, pixels: shown.append(pixels) or call(self, pixels)
    )
    drawn = draw_views(paths, teacher, SETTINGS, tmp_path / "views")
    for student, taught, targets in zip(drawn.pixels, shown, drawn.targets, strict=True):
        assert taught.shape == (3, 33, 33, 3)
        small = torch.nn.functional.interpolate(
            taught.permute(0, 3, 1, 2), (32, 32), mode="bilinear", antialias=True
        )
        apart = (small.float() - student.permute(0, 3, 1, 2).float()).abs().mean((1, 2, 3))
        others = (small.float() - student.roll(1, 0).permute(0, 3, 1, 2).float()).abs()
        assert apart.max() < 4 < others.mean((1, 2, 3)).min()
        torch.testing.assert_close(targets, call(teacher, taught).half())


def test_boxes():
    generator = np.random.default_rng(0)
    width, height = 300, 200
    boxes = np.array([views._random_box(width, height, generator, 0.2) for _ in range(500)])
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes[:, :2].min() >= 0
    assert boxes[:, 2].max() <= width + 1e-6
    assert boxes[:, 3].max() <= height + 1e-6
    inside = (across < width) & (down < height)
    area, aspect = (across * down / width / height)[inside], (across / down)[inside]
    assert 0.2 <= area.min() < 0.25
    assert area.max() > 0.6
    assert 0.75 <= aspect.min() < 0.8
    assert 1.25 < aspect.max() <= 4 / 3


def test_drawn_once(teacher, paths, tmp_path, asked):
    first = draw_views(paths, teacher, SETTINGS, tmp_path / "views")
    assert sum(asked) == 12
    again = draw_views(paths[::-1], teacher, SETTINGS, tmp_path / "views")
    assert sum(asked) == 12
    assert torch.equal(again.pixels.flip(0), first.pixels)
    assert torch.equal(again.targets.flip(0), first.targets)
    assert again.keys == first.keys[::-1]


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_what_is_damaged_is_drawn_again(teacher, paths, tmp_path, asked, damage):
    first = draw_views(paths, teacher, SETTINGS, tmp_path / "views")
    files = sorted((tmp_path / "views").rglob("*.safetensors"))
    assert len(files) == 4
    if damage == "cut":
        files[1].write_bytes(files[1].read_bytes()[:200])
    else:
        files[1].write_bytes(save_other(load_file(files[1])))
    again = draw_views(paths, teacher, SETTINGS, tmp_path / "views")
    assert sum(asked) == 15
    assert torch.equal(again.pixels, first.pixels)
    assert torch.equal(again.targets, first.targets)


def save_other(tensors):
    from safetensors.torch import save

    return save({"pixels": tensors["pixels"], "targets": tensors["targets"][:1].clone()})


def test_seed_and_settings_change_the_views(teacher, paths, tmp_path):
    first = draw_views(paths[:1], teacher, SETTINGS, tmp_path)
    other = draw_views(paths[:1], teacher, ViewSettings(3, 32, 33, seed=1), tmp_path)
    assert torch.equal(first.pixels[:, 0], other.pixels[:, 0])
    assert not torch.equal(first.pixels[:, 1], other.pixels[:, 1])


def test_pixels_without_a_teacher(teacher, paths, tmp_path, asked, monkeypatch):
    settings = PixelSettings(views=3, size=32, least_area=0.2)
    drawn = draw_pixels(paths, settings, tmp_path / "views")
    assert not asked
    taught = draw_views(paths, teacher, SETTINGS, tmp_path / "views")
    assert torch.equal(drawn.pixels[:, 1:], taught.pixels[:, 1:])
    for path, first in zip(paths, drawn.pixels[:, 0], strict=True):
        whole = Image.open(path).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(first.numpy(), np.array(whole))
    assert drawn.keys == taught.keys
    assert len(drawn) == 4
    monkeypatch.setattr(views, "_cut", None)  # it does not draw any more
    again = draw_pixels(paths[::-1], settings, tmp_path / "views")
    assert torch.equal(again.pixels.flip(0), drawn.pixels)


def test_larger_boxes_are_other_views(paths, tmp_path):
    few, more = (draw_pixels(paths, PixelSettings(3, 32, least), tmp_path) for least in (0.2, 0.9))
    assert torch.equal(few.pixels[:, 0], more.pixels[:, 0])
    assert not torch.equal(few.pixels[:, 1], more.pixels[:, 1])


def test_open_pictures(teacher, paths, tmp_path):
    opened = draw_views([Image.open(path) for path in paths], teacher, SETTINGS, tmp_path)
    assert torch.equal(
        opened.pixels[:, 0], draw_views(paths, teacher, SETTINGS, tmp_path).pixels[:, 0]
    )


def test_broken_picture_is_named(teacher, paths, tmp_path):
    paths[2].write_bytes(paths[2].read_bytes()[:70])
    with pytest.raises(ImageError, match=r"2\.png"):
        draw_views(paths, teacher, SETTINGS, tmp_path / "views")


def test_no_pictures(teacher, tmp_path):
    with pytest.raises(TrainingError, match="no pictures"):
        draw_views([], teacher, SETTINGS, tmp_path)


@pytest.mark.parametrize("wrong", [{"views": 0}, {"size": 8}, {"teacher_size": 5}])
def test_settings_out_of_range(wrong):
    with pytest.raises(TrainingError, match="distillation needs"):
        ViewSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"views": 0}, {"size": 8}, {"least_area": 0.0}])
def test_pixel_settings_out_of_range(wrong):
    with pytest.raises(TrainingError, match="at least one view"):
        PixelSettings(**wrong)
