"""`python -m scripts.default align`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmr_hub.cli.named_datasets import NamedDatasets, load_pairs
from cmr_hub.cli.options import Cache, Seed, TextOptions, Threads, console, named_options

if TYPE_CHECKING:
    from scripts.default.alignment import Aligned


def align(
    datasets: NamedDatasets,
    out: Annotated[Path, typer.Option(help="Directory for the weights and their history.")],
    encoder: Annotated[
        Path | None,
        typer.Option(help="Initial weights of compact, from `distill`."),
    ] = None,
    text_option: TextOptions = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs.")] = None,
    views: Annotated[int, typer.Option(min=1, help="Number of views of each picture.")] = 4,
    seed: Seed = 0,
    threads: Threads = 1,
    cache: Cache = None,
) -> None:
    """Train the image encoder `compact` and the text encoder `text-cnn` jointly.

    Only training splits are used, and a twentieth of them is held out to monitor training. Without
    --encoder, training starts from random weights. If the same command is repeated, an interrupted
    run is resumed. OUT then contains encoder.safetensors (float16 weights), text_encoder.json and
    .safetensors, alignment.json (the settings) and history.jsonl (one line per epoch).

    Example: `python -m scripts.default align flickr8k sketches --encoder
    compact/encoder.safetensors --out aligned`
    """
    from cmr_hub.atomic import atomic_file
    from cmr_hub.cache_home import default_cache_home
    from cmr_hub.encoders.images.compact import CompactEncoder
    from cmr_hub.encoders.images.weights import read_weights
    from cmr_hub.encoders.texts.storage import save_text_encoder
    from cmr_hub.encoders.texts.text_cnn import TextCNNEncoder
    from cmr_hub.training.threads import torch_threads
    from cmr_hub.writer import exclusive_lock
    from scripts.default.alignment import Alignment
    from scripts.default.alignment import align as train
    from scripts.default.captioned import captioned_pictures
    from scripts.default.outcome import write_outcome
    from scripts.default.views import PixelSettings, draw_pixels

    settings = Alignment() if epochs is None else Alignment(epochs=epochs)
    drawing = PixelSettings(views=views)
    start = None if encoder is None else CompactEncoder(read_weights(encoder), "file")
    words = TextCNNEncoder(**named_options(text_option))
    loaded = load_pairs(datasets)
    pictures = captioned_pictures(loaded, seed)
    with exclusive_lock(out, "choose another --out"):
        facts = {
            "datasets": {dataset.name: dataset.protocol for dataset in loaded},
            "pictures": len(pictures.images),
            "held_out": int(pictures.held_out.sum()),
            "encoder": None if start is None else {"sha256": start.weights_sha256},
            "text_encoder": {"name": words.name, "options": words.options},
            "views": drawing.as_dict(),
            "training": settings.as_dict(),
            "seed": seed,
        }
        with atomic_file(out / "alignment.json") as file:
            file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        pairs = zip(pictures.sentences, pictures.held_out, strict=True)
        words.fit([sentences for sentences, is_out in pairs if not is_out])

        def save(found: Aligned) -> None:
            write_outcome(found.encoder, found.history, out)
            save_text_encoder(found.text_encoder, out)

        with torch_threads(threads):
            home = (cache or default_cache_home()) / "views"
            drawn = draw_pixels(pictures.images, drawing, home, progress=True)
            result = train(
                drawn,
                pictures,
                words,
                settings,
                seed,
                encoder=start,
                checkpoints=out / "checkpoint",
                save=save,
                progress=True,
            )
    last = result.history[-1]
    measured = "; ".join(
        f"{name} " + ", ".join(f"{figure} {value:.3f}" for figure, value in figures.items())
        for name, figures in last.get("held_out", {}).items()
    )
    seconds = sum(row["seconds"] for row in result.history)
    console.print(f"{last['epoch']} epochs in {seconds:.0f} s: {measured}. Saved {out}.")
