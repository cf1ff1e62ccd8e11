"""`python -m scripts.default distill`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmr_hub.cli.named_datasets import NamedDatasets, load_pairs
from cmr_hub.cli.options import Cache, Seed, Threads, console

if TYPE_CHECKING:
    from scripts.default.distillation import Distilled


def distill(
    datasets: NamedDatasets,
    teacher: Annotated[Path, typer.Option(help="Weights of mobilenet_v2 as safetensors.")],
    out: Annotated[Path, typer.Option(help="Directory for the weights and their history.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs.")] = None,
    views: Annotated[int, typer.Option(min=1, help="Number of views of each picture.")] = 8,
    seed: Seed = 0,
    threads: Threads = 1,
    cache: Cache = None,
) -> None:
    """Distil the image encoder `compact` from mobilenet_v2, starting from random weights.

    Only training splits are used. If the same command is repeated, an interrupted run is resumed.
    OUT then contains encoder.safetensors (float16 weights), projection.safetensors (a linear map
    from its features to the teacher's), distillation.json (the settings) and history.jsonl (one
    line per epoch).

    Example: `python -m scripts.default distill flickr8k pascal-sentence --teacher
    mobilenet_v2.safetensors --out compact`
    """
    from safetensors.torch import save as pack

    from cmr_hub.atomic import atomic_file
    from cmr_hub.cache_home import default_cache_home
    from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
    from cmr_hub.encoders.images.weights import read_weights
    from cmr_hub.training.threads import torch_threads
    from cmr_hub.writer import exclusive_lock
    from scripts.default.distillation import Distillation, training_pictures
    from scripts.default.distillation import distill as train
    from scripts.default.outcome import write_outcome
    from scripts.default.views import Teacher, ViewSettings, draw_views

    settings = Distillation() if epochs is None else Distillation(epochs=epochs)
    drawing = ViewSettings(views=views)
    encoder = MobileNetV2Encoder(read_weights(teacher), "file")
    loaded = load_pairs(datasets)
    pictures = training_pictures(loaded, seed)
    with exclusive_lock(out, "choose another --out"):
        facts = {
            "datasets": {dataset.name: dataset.protocol for dataset in loaded},
            "pictures": len(pictures.images),
            "held_out": int(pictures.held_out.sum()),
            "teacher": {"encoder": encoder.name, "sha256": encoder.weights_sha256},
            "views": drawing.as_dict(),
            "training": settings.as_dict(),
            "seed": seed,
        }
        with atomic_file(out / "distillation.json") as file:
            file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

        def save(result: Distilled) -> None:
            write_outcome(result.encoder, result.history, out)
            with atomic_file(out / "projection.safetensors") as file:
                file.write_bytes(pack(result.projection))

        with torch_threads(threads):
            taught = Teacher(encoder)
            home = (cache or default_cache_home()) / "views"
            drawn = draw_views(pictures.images, taught, drawing, home, progress=True)
            result = train(
                drawn,
                pictures,
                taught.classifier,
                settings,
                seed,
                checkpoints=out / "checkpoint",
                save=save,
                progress=True,
            )
    last = result.history[-1]
    measured = ", ".join(
        f"{name.replace('_', ' ')} {value:.3f}"
        for name, value in last.items()
        if name.startswith("held_out")
    )
    seconds = sum(row["seconds"] for row in result.history)
    console.print(f"{last['epoch']} epochs in {seconds:.0f} s: {measured}. Saved {out}.")
