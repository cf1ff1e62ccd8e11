"""Views of pictures for training, with the teacher's features of each view.

Student and teacher get the same crop of a picture ("consistent teaching", Beyer et al. 2022,
Knowledge distillation: a good teacher is patient and consistent, arXiv 2106.05237). The crops are
drawn once, so that the teacher encodes each only once and training steps decode no pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from cmr_hub.array_files import load_arrays, save_arrays
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.feature_cache import image_key
from cmr_hub.encoders.images.parallel import thread_map
from cmr_hub.errors import TrainingError
from scripts.default.augmentation import normalised
from scripts.default.precision import low_precision

if TYPE_CHECKING:
    from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
    from cmr_hub.types import ImageSource, JSONObject

GRID = 2  # the teacher's feature map is averaged over GRID × GRID cells
CELLS = GRID * GRID
_FEW = 8  # batch size of the teacher; larger batches are slower
_LEAST_AREA = 0.2
_ASPECT = 4 / 3


@dataclass(frozen=True)
class ViewSettings:
    """Settings of the views.

    Args:
        views: number of views of each picture. The first is its centre square, the usual input of
            the teacher; the others are random boxes of 20 to 100 % of its area and an aspect ratio
            of 3:4 to 4:3, resized to a square.
        size: side of a stored view, in pixels.
        teacher_size: side of the teacher's input; ≡ 1 mod 32 for `mobilenet_v2`.
        seed: random seed of the boxes.
    """

    views: int = 8
    size: int = 128
    teacher_size: int = 225
    seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 1 or self.size < 32 or self.teacher_size < 33:
            raise TrainingError(
                "distillation needs at least one view, of at least 32 pixels for the student and "
                f"33 for the teacher, not {self.views}, {self.size} and {self.teacher_size}"
            )

    def as_dict(self) -> JSONObject:
        """Return JSON values, for records."""
        return asdict(self)


@dataclass(frozen=True)
class Views:
    """V views of each of N pictures, with the teacher's features.

    Attributes:
        pixels: (N, V, size, size, 3) uint8.
        targets: (N, V, CELLS, D) float16: the teacher's feature map, averaged over the cells of
            a 2 × 2 grid in the order top left, top right, bottom left, bottom right. The mean of
            the four is the teacher's feature of the view.
        keys: N SHA-256 of the pictures.
    """

    pixels: Tensor
    targets: Tensor
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


class Teacher:
    """A trained MobileNetV2, with its feature map before pooling and its classifier.

    Attributes:
        classifier: (K, D + 1) weights and, last, bias of its K classes; logits are linear in the
            mean of the cells.
    """

    def __init__(self, encoder: MobileNetV2Encoder) -> None:
        self.encoder, self.dim = encoder, encoder.dim
        network = encoder.build()
        network.load_state_dict(encoder.state)
        body = encoder.for_inference(nn.Sequential(*network.features))
        self._map = body.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        linear = network.classifier[1]
        self.classifier = torch.cat([linear.weight, linear.bias[:, None]], dim=1).detach()

    def __call__(self, pixels: Tensor) -> Tensor:
        """Map (B, S, S, 3) uint8 pixels to (B, CELLS, D) float32 features."""
        with torch.inference_mode(), low_precision():
            found = self._map(normalised(pixels.permute(0, 3, 1, 2)))
        cells = nn.functional.adaptive_avg_pool2d(found.float(), GRID)
        return cells.flatten(2).transpose(1, 2)


def draw_views(
    images: Sequence[ImageSource],
    teacher: Teacher,
    settings: ViewSettings,
    home: str | Path,
    *,
    progress: bool = False,
) -> Views:
    """Draw views of pictures and encode them with the teacher, or read them from the cache.

    The boxes depend only on the seed and the content of the picture, not on the other pictures.

    Args:
        images: N pictures.
        teacher: the teacher.
        settings: settings of the views.
        home: folder of cached views, from which an interrupted run continues.
        progress: show a progress bar.

    Raises:
        TrainingError: there are no pictures.
        ImageError: a picture cannot be read; the message names it.
    """
    facts = [teacher.encoder.fingerprint, settings.as_dict(), CELLS, _LEAST_AREA, _ASPECT]
    count, views, side = len(images), settings.views, settings.size
    pixels = torch.empty((count, views, side, side, 3), dtype=torch.uint8)
    targets = torch.empty((count, views, CELLS, teacher.dim), dtype=torch.float16)

    def draw(image: ImageSource, key: bytes) -> dict[str, Tensor]:
        picture = read_image(image)
        others = _random_boxes(picture, key, settings.views - 1, settings.seed, _LEAST_AREA)
        boxes = [_centre(*picture.size), *others]
        batches = _cut(picture, boxes, settings.teacher_size).split(_FEW)
        features = torch.cat([teacher(batch) for batch in batches])
        return {"pixels": _cut(picture, boxes, settings.size), "targets": features.half()}

    keys = _fill({"pixels": pixels, "targets": targets}, images, facts, draw, home, progress)
    return Views(pixels, targets, keys)


@dataclass(frozen=True)
class PixelSettings:
    """Settings of the views without a teacher.

    Args:
        views: number of views of each picture. The first is the whole picture, resized to a square
            as the encoder does; the others are random boxes as in `ViewSettings`.
        size: side of a view, in pixels.
        least_area: minimum share of the picture in a box. It is larger than with a teacher, because
            sentences describe the whole picture.
        seed: random seed of the boxes.
    """

    views: int = 4
    size: int = 128
    least_area: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 1 or self.size < 32 or not 0 < self.least_area <= 1:
            raise TrainingError(
                "training needs at least one view of at least 32 pixels, and a least area in "
                f"(0, 1], not {self.views}, {self.size} and {self.least_area}"
            )

    def as_dict(self) -> JSONObject:
        """Return JSON values, for records."""
        return asdict(self)


@dataclass(frozen=True)
class PixelViews:
    """V views of each of N pictures.

    Attributes:
        pixels: (N, V, size, size, 3) uint8.
        keys: N SHA-256 of the pictures.
    """

    pixels: Tensor
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


def draw_pixels(
    images: Sequence[ImageSource],
    settings: PixelSettings,
    home: str | Path,
    *,
    progress: bool = False,
) -> PixelViews:
    """Draw views of pictures without a teacher; see `draw_views`."""
    side = settings.size
    pixels = torch.empty((len(images), settings.views, side, side, 3), dtype=torch.uint8)

    def draw(image: ImageSource, key: bytes) -> dict[str, Tensor]:
        picture = read_image(image)
        least, seed = settings.least_area, settings.seed
        others = _random_boxes(picture, key, settings.views - 1, seed, least)
        return {"pixels": _cut(picture, [(0.0, 0.0, *picture.size), *others], side)}

    facts = ["pixels, the whole first", settings.as_dict(), _ASPECT]
    return PixelViews(pixels, _fill({"pixels": pixels}, images, facts, draw, home, progress))


def _fill(
    tensors: Mapping[str, Tensor],
    images: Sequence[ImageSource],
    facts: list[Any],
    draw: Callable[[ImageSource, bytes], dict[str, Tensor]],
    home: str | Path,
    progress: bool,
) -> tuple[str, ...]:
    """Fill row i of each tensor with the views of picture i, from the cache or from `draw`.

    Return the keys of the pictures. `facts` are part of the cache key.
    """
    if not images:
        raise TrainingError("there are no pictures to draw views of")
    keys = [image_key(image) for image in images]
    base = hashlib.sha256(json.dumps(facts).encode()).digest()

    def work(row: int) -> None:
        name = hashlib.sha256(base + keys[row]).hexdigest()[:32]
        file = Path(home) / name[:2] / f"{name}.safetensors"
        rows = {part: tensor[row] for part, tensor in tensors.items()}
        views = _read(file, rows)
        if views is None:
            views = draw(images[row], keys[row])
            save_arrays(file, {part: tensor.numpy() for part, tensor in views.items()})
        for part, tensor in rows.items():
            tensor.copy_(views[part])

    bar = tqdm(
        thread_map(work, range(len(images))),
        total=len(images),
        desc="views",
        unit="picture",
        disable=None if progress else True,
    )
    for _ in bar:
        pass
    return tuple(key.hex() for key in keys)


def _read(file: Path, rows: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    arrays = load_arrays(file)
    if arrays is None:
        return None  # missing or damaged
    found = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def kinds(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}

    return found if kinds(found) == kinds(rows) else None


Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def _random_boxes(
    picture: Image.Image, key: bytes, count: int, seed: int, least_area: float
) -> list[Box]:
    """Return random boxes, which depend only on the picture's key and the seed."""
    generator = np.random.default_rng((seed, int.from_bytes(key)))
    return [_random_box(*picture.size, generator, least_area) for _ in range(count)]


def _centre(width: int, height: int) -> Box:
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _random_box(width: int, height: int, generator: np.random.Generator, least_area: float) -> Box:
    area = width * height * generator.uniform(least_area, 1)
    aspect = np.exp(generator.uniform(-1, 1) * np.log(_ASPECT))
    across, down = min(width, (area * aspect) ** 0.5), min(height, (area / aspect) ** 0.5)
    left = (width - across) * generator.uniform()
    top = (height - down) * generator.uniform()
    return left, top, left + across, top + down


def _cut(picture: Image.Image, boxes: Sequence[Box], side: int) -> Tensor:
    """Return (V, side, side, 3) uint8 crops, resized to squares."""
    how = Image.Resampling.BILINEAR
    squares = [np.array(picture.resize((side, side), how, box=box)) for box in boxes]
    return torch.from_numpy(np.stack(squares))
