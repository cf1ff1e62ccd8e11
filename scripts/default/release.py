"""`python -m scripts.default release`."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.named_datasets import NamedDatasets, load_pairs
from cmr_hub.cli.options import Cache, Seed, console
from cmr_hub.errors import CMRError


class Recipe(StrEnum):
    """Models bundled with the package."""

    PHOTOS = "photos"
    SKETCH = "sketch"


def release(
    recipe: Annotated[Recipe, typer.Argument(help="Model to train.")],
    datasets: NamedDatasets,
    out: Annotated[Path, typer.Option(help="New directory for the release.")],
    figures: Annotated[
        Path | None,
        typer.Option(
            help="File for the settings and the figures of the model. Default: results/RECIPE.json."
        ),
    ] = None,
    aligned: Annotated[
        Path | None,
        typer.Option(help="For sketch: the encoders, in the output directory of `align`."),
    ] = None,
    image_encoder_name: Annotated[
        str, typer.Option("--image-encoder", help="For photos: as in `cmr train`.")
    ] = "efficientnet_lite2",
    text_encoder_name: Annotated[
        str, typer.Option("--text-encoder", help="For photos: as in `cmr train`.")
    ] = "sentence",
    seed: Seed = 0,
    cache: Cache = None,
) -> None:
    """Train a model that is bundled with the package.

    Train on the training splits, evaluate each held-out split once, and save the model with a
    gallery and its pictures: for photos the photographs bundled with the package and some sketches,
    for sketch only sketches.

    Examples: `python -m scripts.default release photos flickr8k pascal-sentence
    sketches:4000/1000 --out photos`, `python -m scripts.default release sketch flickr8k
    pascal-sentence sketches --aligned aligned --out sketch`
    """
    from cmr_hub.atomic import atomic_file
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images import image_encoder
    from cmr_hub.encoders.texts import text_encoder
    from cmr_hub.encoders.texts.storage import load_text_encoder
    from cmr_hub.releases import PHOTOGRAPHS
    from cmr_hub.training.presets import CAPTIONS
    from scripts.default.build import build_release
    from scripts.default.canonical import CanonicalPart
    from scripts.default.train import SKETCH

    if (recipe is Recipe.SKETCH) != (aligned is not None):
        raise CMRError(
            "sketch requires --aligned DIRECTORY, the output of `align`; photos does not use it"
        )
    figures = figures or Path(f"results/{recipe.value}.json")
    loaded = load_pairs(datasets)
    if aligned is not None:
        preset, canonical, photographs = SKETCH, None, None
        images = image_encoder("compact", aligned / "encoder.safetensors")
        texts = load_text_encoder(aligned)
    else:
        # Averaging two trainings improves recall.
        preset, canonical = replace(CAPTIONS, seeds=2), CanonicalPart()
        photographs = PHOTOGRAPHS
        images = image_encoder(image_encoder_name)
        texts = text_encoder(text_encoder_name).fit([])
    found = build_release(
        out,
        loaded,
        preset,
        images,
        texts,
        FeatureCache(cache),
        canonical=canonical,
        photographs=photographs,
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
