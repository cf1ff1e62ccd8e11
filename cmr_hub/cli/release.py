"""`cmr release`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.options import Cache, console
from cmr_hub.datasets import DATASETS, PairDataset, load_dataset
from cmr_hub.errors import CMRError


def release(
    datasets: Annotated[
        list[str], typer.Argument(help=f"To learn from and to measure on: {', '.join(DATASETS)}.")
    ],
    encoder: Annotated[Path, typer.Option(help="Weights of the image encoder `compact`.")],
    out: Annotated[Path, typer.Option(help="A new directory for the release.")],
    figures: Annotated[
        Path, typer.Option(help="Where to write how it was trained and what was measured.")
    ] = Path("results/default.json"),
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    cache: Cache = None,
) -> None:
    """Trains the release that comes with the package: word vectors and projectors for captions.

    Learns from the training splits, measures each held-out split once, and saves the model with a
    gallery of sketches, pictures included.

    Example: `cmr release flickr8k pascal-sentence sketches --encoder compact/encoder.safetensors
    --out cmr_hub/releases/default`
    """
    from cmr_hub.atomic import atomic_file
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images import image_encoder
    from cmr_hub.releases.build import build_release

    loaded = []
    for name in datasets:
        dataset = load_dataset(name)
        if not isinstance(dataset, PairDataset):
            raise CMRError(f"{name} has no pictures to learn from")
        loaded.append(dataset)
    compact = image_encoder("compact", encoder)
    found = build_release(out, loaded, compact, FeatureCache(cache), seed=seed, progress=True)
    with atomic_file(figures) as file:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, values in found["figures"].items():
        map_avg = f", class MAP {values['map_avg']:.3f}" if "map_avg" in values else ""
        console.print(
            f"{name}: {values['pictures']} pictures, text→image Recall@10 of a sentence "
            f"{values['sentences']['recall_at_10']:.3f}{map_avg}"
        )
    console.print(f"Saved {out} and {figures}.", soft_wrap=True)
