"""`cmr train`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.options import (
    Cache,
    Device,
    Protocol,
    Root,
    Seed,
    TextOptions,
    console,
    named_options,
)
from cmr_hub.datasets import DATASETS, load_dataset
from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder
from cmr_hub.encoders.texts import TEXT_ENCODERS, text_encoder
from cmr_hub.errors import CMRError
from cmr_hub.evaluation.methods import get_method, method_names


class GalleryChoice(StrEnum):
    """Which pairs a trained model is saved with, for searching."""

    TEST = "test"
    ALL = "all"
    NONE = "none"


def train(
    dataset: Annotated[str, typer.Argument(help=f"One of: {', '.join(DATASETS)}.")],
    out: Annotated[Path, typer.Option(help="A new directory for the model.")],
    root: Root = None,
    protocol: Protocol = None,
    image_encoder_name: Annotated[
        str,
        typer.Option(
            "--image-encoder",
            help=f"One of: {', '.join(IMAGE_ENCODERS)}; or hf:REPOSITORY[@REVISION] or "
            "hf:DIRECTORY for a pretrained one.",
        ),
    ] = "mobilenet_v2",
    image_weights: Annotated[
        Path | None,
        typer.Option(help="The encoder's weights as safetensors; else torchvision downloads its."),
    ] = None,
    text_encoder_name: Annotated[
        str,
        typer.Option(
            "--text-encoder",
            help=f"One of: {', '.join(TEXT_ENCODERS)}; or hf:REPOSITORY[@REVISION] or "
            "hf:DIRECTORY for a pretrained one.",
        ),
    ] = "bow",
    text_option: TextOptions = None,
    preset: Annotated[
        str, typer.Option(help=f"A way to train: {', '.join(method_names())}.")
    ] = "acmr-paper",
    fine_tune: Annotated[
        int, typer.Option(min=0, help="Train so many last blocks of the image encoder too.")
    ] = 0,
    fine_tune_text: Annotated[
        int, typer.Option(min=0, help="Train so many last layers of the sentence encoder too.")
    ] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Train for at most so many.")] = None,
    seed: Seed = 0,
    gallery: Annotated[
        GalleryChoice, typer.Option(help="Which pairs to save with the model, for searching.")
    ] = GalleryChoice.TEST,
    snapshots: Annotated[
        bool,
        typer.Option(help="Keep how the test pairs lie in the common space at a few epochs."),
    ] = False,
    results: Annotated[Path, typer.Option(help="The results store to add a line to.")] = Path(
        "results/runs.jsonl"
    ),
    cache: Cache = None,
    device: Device = "auto",
) -> None:
    """Trains projectors, measures them on the test split, and saves the model.

    A run that was stopped goes on where it was when the same command is given again.

    Example: `cmr train pascal-sentence --image-weights mobilenet_v2.safetensors --out runs/pascal`
    """
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.evaluation.experiment import run_experiment
    from cmr_hub.evaluation.results import append_run
    from cmr_hub.gallery.build import build_gallery
    from cmr_hub.models.files import refuse_foreign_directory
    from cmr_hub.models.names import SNAPSHOTS
    from cmr_hub.training.finetune import FineTuning
    from cmr_hub.training.finetune_text import TextFineTuning
    from cmr_hub.training.presets import Preset
    from cmr_hub.training.snapshots import write_snapshots
    from cmr_hub.training.trainer import remove_checkpoints
    from cmr_hub.writer import sole_writer

    method = get_method(preset)
    if epochs is not None:
        if not isinstance(method, Preset):
            raise CMRError(f"{preset} is fitted in closed form: it has no --epochs")
        method = replace(method, epochs=epochs)
    refuse_foreign_directory(out)
    checkpoints = out.resolve().with_name(f"{out.resolve().name}.checkpoints")
    # A wrong name or file is noticed before anything is read or downloaded.
    placement = Placement.of(device)
    texts = text_encoder(text_encoder_name, **named_options(text_option)).to(placement)
    images = image_encoder(image_encoder_name, image_weights) if image_weights else None
    loaded = load_dataset(dataset, root, protocol)
    pictures = isinstance(loaded, PairDataset)
    if not pictures:
        images = None
    elif images is None:
        images = image_encoder(image_encoder_name)
    features = FeatureCache(cache)
    with sole_writer(checkpoints, "give another --out"):
        experiment = run_experiment(
            loaded,
            method,
            seed,
            image_encoder=images and images.to(placement),
            text_encoder=texts if pictures else None,
            fine_tuning=FineTuning(fine_tune) if fine_tune else None,
            text_fine_tuning=TextFineTuning(fine_tune_text) if fine_tune_text else None,
            cache=features,
            checkpoints=checkpoints,
            snapshots=snapshots,
            device=placement.device,
            progress=True,
        )
        model = experiment.model
        if model is None:
            raise CMRError(
                f"{preset} is no pair of projectors and cannot be saved; `cmr ablate` measures it"
            )
        if isinstance(loaded, PairDataset) and gallery is not GalleryChoice.NONE:
            part = loaded if gallery is GalleryChoice.ALL else loaded.split("test")
            model.gallery = build_gallery(model, part, cache=features, progress=True)
        model.save_pretrained(out)
        if experiment.stages:
            write_snapshots(out / SNAPSHOTS, experiment.test.ids, experiment.stages)
        append_run(experiment.record, results)
        console.print(experiment.summary(), soft_wrap=True, highlight=False)
        console.print(
            f"{experiment.record['epochs']} epochs in {experiment.record['seconds']:.1f} s. "
            f"Saved {out}; added a line to {results}.",
            soft_wrap=True,
        )
        if model.gallery is not None:
            console.print(f'Now try: cmr search {out} "two men on a motorbike"', soft_wrap=True)
        # Last of all: until here the same command goes on with what they hold.
        remove_checkpoints(checkpoints)
