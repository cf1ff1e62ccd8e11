"""`cmr release`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.named_datasets import NamedDatasets, load_pairs
from cmr_hub.cli.options import Cache, Seed, console


def release(
    datasets: NamedDatasets,
    aligned: Annotated[Path, typer.Option(help="The encoders, as `cmr align` wrote them.")],
    out: Annotated[Path, typer.Option(help="A new directory for the release.")],
    figures: Annotated[
        Path, typer.Option(help="Where to write how it was trained and what was measured.")
    ] = Path("results/default.json"),
    seed: Seed = 0,
    cache: Cache = None,
) -> None:
    """Trains the release that comes with the package: projectors for captions on both encoders.

    Learns from the training splits, measures each held-out split once, and saves the model with a
    gallery of sketches, pictures included.

    Example: `cmr release flickr8k pascal-sentence sketches --aligned aligned
    --out cmr_hub/releases/sketch`
    """
    from cmr_hub.atomic import atomic_file
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images import image_encoder
    from cmr_hub.encoders.texts.storage import load_text_encoder
    from cmr_hub.releasing.build import build_release

    loaded = load_pairs(datasets)
    compact = image_encoder("compact", aligned / "encoder.safetensors")
    found = build_release(
        out,
        loaded,
        compact,
        load_text_encoder(aligned),
        FeatureCache(cache),
        seed=seed,
        progress=True,
    )
    with atomic_file(figures) as file:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, values in found["figures"].items():
        map_avg = f", class MAP {values['map_avg']:.3f}" if "map_avg" in values else ""
        console.print(
            f"{name}: {values['pictures']} pictures, text→image Recall@10 of a sentence "
            f"{values['sentences']['recall_at_10']:.3f}{map_avg}"
        )
    console.print(f"Saved {out} and {figures}.", soft_wrap=True)
