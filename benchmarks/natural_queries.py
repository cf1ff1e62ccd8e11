"""Precision of the first ten pictures for 30 everyday queries, judged manually.

The queries were written without knowledge of the pictures, the 1,000 validation photographs of
Flickr8k. `python benchmarks/natural_queries.py [MODEL]` searches, and reads from
results/natural-queries-judged.json whether a picture is relevant. With `--sheets DIR`, pictures
without a judgement are drawn as contact sheets; they must be judged first.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from cmr_hub import load
from cmr_hub.atomic import atomic_file
from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.feature_cache import FeatureCache

RESULTS: Final = Path(__file__).parents[1] / "results"
JUDGED: Final = RESULTS / "natural-queries-judged.json"
FOUND: Final = RESULTS / "natural-queries.json"
FIRST: Final = 10
QUERIES: Final = (
    "a dog running on the beach",
    "two dogs playing with each other",
    "a child on a swing",
    "a man riding a bicycle",
    "people playing soccer",
    "a surfer on a wave",
    "a group of people sitting at a table",
    "someone climbing a rock",
    "a snowy mountain",
    "a boat on the water",
    "a crowd of people in a city street",
    "a girl in a pink dress",
    "a baby",
    "a bird flying",
    "a horse",
    "a motorcycle",
    "a car",
    "a person skiing down a slope",
    "children playing in water",
    "a man playing guitar",
    "people eating food",
    "a woman talking on a phone",
    "a sunset",
    "a dog carrying a stick",
    "a basketball game",
    "someone sleeping",
    "people inside a train or a bus",
    "a rainy day",
    "a skateboarder doing a trick",
    "a kitchen",
)


def main() -> None:
    """Write results/natural-queries.json, or print which pictures must be judged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="sketch")
    parser.add_argument("--sheets", type=Path, help="draw contact sheets of all hits here")
    asked = parser.parse_args()
    hits = first_hits(asked.model)
    if asked.sheets:
        for number, (query, paths) in enumerate(hits.items()):
            sheet(query, paths).save(asked.sheets / f"{number:02}.png")
    judged = json.loads(JUDGED.read_text(encoding="utf-8")) if JUDGED.exists() else {}
    missing = {
        query: [path.name for path in paths if path.name not in judged.get(query, {})]
        for query, paths in hits.items()
    }
    if any(missing.values()):
        count = sum(map(len, missing.values()))
        raise SystemExit(f"{count} hits are not judged in {JUDGED}: look at them with --sheets DIR")
    by_query = {
        query: float(np.mean([judged[query][path.name] for path in paths]))
        for query, paths in hits.items()
    }
    found: dict[str, Any] = {
        "model": asked.model,
        "dataset": "flickr8k, 1,000 validation pictures",
        "precision_at_10": round(float(np.mean(list(by_query.values()))), 4),
        "by_query": by_query,
        "hits": {query: [path.name for path in paths] for query, paths in hits.items()},
    }
    with atomic_file(FOUND) as file:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"P@10 {found['precision_at_10']:.3f}; wrote {FOUND}")


def first_hits(model_name: str) -> dict[str, list[Path]]:
    """Return the first pictures for each query, best first."""
    model = load(model_name)
    pictures = load_dataset("flickr8k").split("validation").images
    images = model.image.encode(pictures, cache=FeatureCache(), progress=True)
    texts = model.encode_texts(QUERIES)
    order = np.argsort(-texts @ images.T, axis=1, kind="stable")[:, :FIRST]
    return {
        query: [pictures[row] for row in rows] for query, rows in zip(QUERIES, order, strict=True)
    }


def sheet(query: str, paths: list[Path]) -> Image.Image:
    """Draw the pictures of a query in rows of five, below the query."""
    side = 160
    whole = Image.new("RGB", (5 * side, 2 * side + 20), "white")
    ImageDraw.Draw(whole).text((4, 4), query, fill="black")
    for place, path in enumerate(paths):
        with Image.open(path) as picture:
            whole.paste(picture.resize((side, side)), (place % 5 * side, 20 + place // 5 * side))
    return whole


if __name__ == "__main__":
    main()
