"""Quality and cost of finding copies of a picture.

    python benchmarks/duplicates.py

Uses the pictures of Pascal Sentence and Flickr8k (in $CMR_DATA_HOME). Changes 200 random pictures
of Pascal Sentence (seed 0) in several ways, and counts how many are recognised as copies of the
original among all pictures; counts the pairs of different files that are considered copies; and
times the perceptual hash of a picture and the comparison of all pairs of vectors. Writes
`results/duplicates.json`.
"""

from __future__ import annotations

import io
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import imagehash
import numpy as np
from PIL import Image, ImageEnhance

from cmr_hub.atomic import atomic_file
from cmr_hub.checksums import sha256_of_file
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.images import read_image
from cmr_hub.gallery.duplicates import ALIKE, _alike
from cmr_hub.gallery.indexing.copies import MAX_BITS, PictureGroups
from cmr_hub.gallery.items import items_table

OUT = Path("results/duplicates.json")
CHANGED, VECTORS, DIM = 200, 20_000, 1408


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return the picture after saving it as JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    """Crop 2 % at each side."""
    width, height = image.size
    x, y = round(0.02 * width), round(0.02 * height)
    return image.crop((x, y, width - x, height - y))


CHANGES = {
    "JPEG of quality 20": lambda image: as_jpeg(image, 20),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "160 pixels wide": lambda image: image.resize((160, 160 * image.height // image.width)),
    "15 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "cropped by 2 % at each side": cropped,
}


def main() -> None:
    """Run the benchmark, and print and write the results."""
    paths = [
        Path(path)
        for name in ("pascal-sentence", "flickr8k")
        for path in load_dataset(name).images
        if path is not None
    ]
    seconds, rows = [], []
    for path in paths:
        image = read_image(path)
        start = time.perf_counter()
        code = str(imagehash.phash(image))
        seconds.append(time.perf_counter() - start)
        rows.append((str(path), str(path), sha256_of_file(path), code))
    groups = PictureGroups(items_table([]), frozenset())
    copies = groups.copies_of(rows)
    contents = {id_: content for id_, _, content, _ in rows}
    wrong = [
        (first, row[0])
        for row, first in zip(rows, copies, strict=True)
        if first is not None and contents[first] != row[2]
    ]
    chosen = np.random.default_rng(0).permutation(1000)[:CHANGED]
    found = {}
    with TemporaryDirectory() as folder:
        for name, change in CHANGES.items():
            changed = []
            for number in chosen:
                image = change(read_image(paths[number]))
                path = Path(folder, f"{len(list(Path(folder).iterdir()))}.png")
                image.save(path)
                changed.append(
                    (str(path), str(path), sha256_of_file(path), str(imagehash.phash(image)))
                )
            first = groups.copies_of(changed)
            found[name] = sum(
                copy == str(paths[number]) for copy, number in zip(first, chosen, strict=True)
            )
    vectors = np.random.default_rng(0).normal(size=(VECTORS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start = time.process_time()
    _alike(vectors, ALIKE, progress=False)
    result = {
        "max_bits": MAX_BITS,
        "pictures": len(paths),
        "changed": CHANGED,
        "found": found,
        "different_files_called_the_same": len(wrong),
        "hash_ms": round(1000 * statistics.median(seconds), 2),
        "alike_vectors": VECTORS,
        "alike_cpu_seconds": round(time.process_time() - start, 1),
    }
    for pair in wrong:
        print(*pair)
    print(json.dumps(result, indent=2))
    with atomic_file(OUT) as file:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
