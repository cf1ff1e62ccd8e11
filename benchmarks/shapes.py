"""Retrieval with pictures in their original shape and in changed shapes.

    python benchmarks/shapes.py [MODEL]

On the 200 test pictures of Pascal Sentence: unchanged, resized to 160 × 160 (like the copies of
Flickr8k that the model was trained on), cropped to the central square, and padded to a square.
Writes results/shapes.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from cmr_hub import load
from cmr_hub.atomic import atomic_file
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.images import read_image
from cmr_hub.metrics.retrieval import mean_average_precision

FOUND: Final = Path(__file__).parents[1] / "results" / "shapes.json"
SQUASHED: Final = 160


def central(picture: Image.Image) -> Image.Image:
    """Crop the largest central square."""
    return ImageOps.fit(picture, (min(picture.size),) * 2)


def padded(picture: Image.Image) -> Image.Image:
    """Pad to a square with grey."""
    return ImageOps.pad(picture, (max(picture.size),) * 2, color=(127, 127, 127))


SHAPES: Final[dict[str, Callable[[Image.Image], Image.Image]]] = {
    "as they are": lambda picture: picture,
    "squashed to 160": lambda picture: picture.resize(
        (SQUASHED, SQUASHED), Image.Resampling.BICUBIC
    ),
    "central square": central,
    "padded": padded,
}


def main() -> None:
    """Write results/shapes.json."""
    name = sys.argv[1] if len(sys.argv) > 1 else "photos"
    model = load(name)
    part = load_dataset("pascal-sentence").split("test")
    pictures = [read_image(image) for image in part.images if image is not None]
    singles = [(text,) for texts in part.sentences for text in texts]
    own = np.repeat(np.arange(len(part)), [len(texts) for texts in part.sentences])
    texts, whole = model.encode_documents(singles), model.encode_documents(part.sentences)
    figures = {}
    for shape, change in SHAPES.items():
        images = model.encode_images([change(picture) for picture in pictures])
        scores = texts @ images.T
        ranks = (scores > scores[np.arange(len(own)), own][:, None]).sum(axis=1)
        both = [
            mean_average_precision(whole, images, part.labels, part.labels).value,
            mean_average_precision(images, whole, part.labels, part.labels).value,
        ]
        figures[shape] = {
            **{f"recall_at_{k}": round(float((ranks < k).mean()), 4) for k in (1, 5, 10)},
            "map_avg": round(float(np.mean(both)), 4),
        }
        print(shape, figures[shape], flush=True)
    found = {"model": name, "dataset": "pascal-sentence, 200 test pictures", "figures": figures}
    with atomic_file(FOUND) as file:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
