"""Growth of the cost of each task with the number of pictures.

The results are the seconds at each size, the best of three, and the exponent e of the curve N^e
that fits the largest three sizes. Vectors are those of `gallery.py`. Pictures for indexing are 32
pixels wide, and their encoder returns the mean colour, so that only the indexing is timed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gallery import draw, gallery_of, warm
from PIL import Image
from ranking import drawn
from rows import BUSY, Took, exponent, load, machine, rounded, seconds
from table import GROWTH

from cmr_hub import load as load_model
from cmr_hub.atomic import atomic_file
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.images.preprocessing import Squashing
from cmr_hub.experiments.results import versions
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.metrics.retrieval import mean_average_precision
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.projections.methods import ProjectionOptions, project_stages

SIZES, MILLION, ASKED = (1_000, 3_000, 10_000, 30_000, 100_000), 1_000_000, 500
ENOUGH = 20.0
"""Seconds above which a task is not measured at the next size."""


class Colours(ImageEncoder):
    """An encoder that returns the mean colour of a picture."""

    name, dim, preprocessing = "colours", 3, Squashing(resize=16, crop=16)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.mean((2, 3))


def indexing(count: int) -> Took:
    """Return the seconds to create a gallery."""
    text = load_model("sketch").text.encoder
    assert text is not None
    model = CrossModalModel(
        ImageTower(Colours(), Projector(3, (8,), 8)), TextTower(text, Projector(text.dim, (8,), 8))
    )
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as home:
        for number in range(count):
            path = Path(home, f"{number // 1000}", f"{number:06}.jpg")
            path.parent.mkdir(exist_ok=True)
            pixels = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((32, 32)).save(path)
        gallery = Gallery.create(None, model)
        return Took(seconds(lambda: index_folder(gallery, Path(home))))


def tasks(count: int) -> dict[str, Callable[[], object]]:
    """Return the tasks with this number of items."""
    directory = gallery_of(count)
    gallery = Gallery.open(directory)
    warm(gallery)
    (query,), vectors = draw(1, 3), draw(count, 0)
    asked, given, own, labels = drawn(count)
    tsne = ProjectionOptions(method="tsne")
    # Conditions are cached, so each one uses another number.
    conditions = iter(range(1, 1_000))
    return {
        "search": lambda: [gallery.search(query) for _ in range(10)],
        "opening": lambda: Gallery.open(directory).search(query),
        "where": lambda: gallery.search(query, where=f"hundredth = {next(conditions)}"),
        "duplicates": lambda: gallery.duplicates(["alike"]),
        "map, PCA": partial(project_stages, [vectors], ProjectionOptions(method="pca")),
        "map, t-SNE": partial(project_stages, [vectors], tsne),
        "evaluation": partial(mean_average_precision, asked[:ASKED], given, own[:ASKED], labels),
        "indexing": partial(indexing, count),
    }


GROWS = {
    "search": "n up to 200,000, where every vector is compared; with a graph above, log n",
    "opening": "n: the items are read, the vectors mapped",
    "where": "n: a condition looks at every row once",
    "duplicates": "n²: every picture is compared with every other one, exactly",
    "map, PCA": "n",
    "map, t-SNE": "n² for its neighbours, which are found exactly, and n for each step",
    "evaluation": f"n log n for each of {ASKED} queries, whose items are sorted",
    "indexing": "n",
}
TENTH = {"search": 10}
"""Return how often a task is repeated while it is timed."""


def growth(*, full: bool = False) -> None:
    """Write results/growth.json, unless the machine is busy."""
    before = load()
    taken: dict[str, dict[int, float]] = {name: {} for name in GROWS}
    slow: set[str] = set()
    for work in tasks(SIZES[0]).values():
        work()  # warm-up: imports and compilation
    for count in (*SIZES, MILLION) if full else SIZES:
        for name, work in tasks(count).items():
            if name in slow:
                continue
            first = seconds(work)
            rest = [seconds(work) for _ in range(2)] if first < 2 else []
            taken[name][count] = rounded(min(first, *rest) / TENTH.get(name, 1)) if rest else first
            print(f"{count:,} {name}: {taken[name][count]:.3g} s", flush=True)
            slow |= {name} if first > ENOUGH else set()
    if before > BUSY:
        print("not kept: the machine was busy")
        return
    record: dict[str, Any] = {
        "load_before": before,
        "load_after": load(),
        "machine": machine(),
        "versions": versions(),
        "tasks": {
            name: {
                "grows": GROWS[name],
                "exponent": rounded(exponent(own)),
                "seconds": {str(size): rounded(took) for size, took in own.items()},
            }
            for name, own in taken.items()
            if len(own) > 1
        },
    }
    with atomic_file(GROWTH) as file:
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
