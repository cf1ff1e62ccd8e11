"""Define the command `cmr train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cmr_hub.cli.named_datasets import NamedDatasets
from cmr_hub.cli.options import (
    Cache,
    Device,
    Protocol,
    Root,
    Seed,
    TextOptions,
    console,
    named_options,
    say,
)
from cmr_hub.cli.preset_options import Changes
from cmr_hub.datasets import FeatureDataset, PairDataset
from cmr_hub.datasets.measured import AS_TEST
from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder
from cmr_hub.encoders.texts import TEXT_ENCODERS, text_encoder
from cmr_hub.errors import CMRError
from cmr_hub.experiments.methods import (
    get_method,
    method_names,
    refuse_without_labels,
    refuse_without_model,
)
from cmr_hub.losses import LOSSES
from cmr_hub.training.presets import CAPTIONS, Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.experiments.run import Experiment

LABELLED = "acmr-paper"
"""Default preset for datasets with labels."""


def train(
    datasets: NamedDatasets,
    out: Annotated[Path, typer.Option(help="New directory for the model.")],
    root: Root = None,
    protocol: Protocol = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to evaluate on: test or validation. Default: test, or validation if there "
            "is no test split."
        ),
    ] = None,
    image_encoder_name: Annotated[
        str | None,
        typer.Option(
            "--image-encoder",
            help=f"One of: {', '.join(IMAGE_ENCODERS)}; or hf:REPOSITORY[@REVISION] or "
            "hf:DIRECTORY for a pretrained one. Default: mobilenet_v2; for captions "
            "efficientnet_lite2, if its weights are installed and no weights are given.",
        ),
    ] = None,
    image_weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights of the encoder as safetensors. Default: downloaded by torchvision."
        ),
    ] = None,
    text_encoder_name: Annotated[
        str | None,
        typer.Option(
            "--text-encoder",
            help=f"One of: {', '.join(TEXT_ENCODERS)}; or hf:REPOSITORY[@REVISION] or "
            "hf:DIRECTORY for a pretrained one. Default: bow; for captions sentence, if its "
            "weights are installed.",
        ),
    ] = None,
    text_option: TextOptions = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Preset or baseline: {', '.join(method_names())}. Default: {LABELLED}; captions "
            "without labels or for several datasets."
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="Loss to minimise instead of the objective of the preset. One of: "
            f"{', '.join(LOSSES)}."
        ),
    ] = None,
    fine_tune: Annotated[
        int, typer.Option(min=0, help="Also train this many last blocks of the image encoder.")
    ] = 0,
    fine_tune_text: Annotated[
        int, typer.Option(min=0, help="Also train this many last layers of the sentence encoder.")
    ] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Maximum number of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Batch size in pairs.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Peak learning rate of AdamW.")
    ] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Dimension of the common space.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train this many projectors with different seeds, and average their cosines.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=1e-4,
            help="Temperature of a contrastive loss, or its initial value if it is trained.",
        ),
    ] = None,
    seed: Seed = 0,
    gallery: Annotated[
        Literal["test", "all", "none"],
        typer.Option(help="Pairs to save with the model for searching."),
    ] = "test",
    snapshots: Annotated[
        bool,
        typer.Option(help="Store the embeddings of the test pairs at some epochs."),
    ] = False,
    results: Annotated[
        Path, typer.Option(help="Results file to append to. The dashboard shows it.")
    ] = Path("runs/runs.jsonl"),
    cache: Cache = None,
    device: Device = "auto",
) -> None:
    """Train projectors, evaluate them on the test split, and save the model.

    With several datasets, the model is trained on all and evaluated on each. A dataset without a
    test split is evaluated on its validation split, and settings are chosen on a part of the
    training pairs. If some items have labels, items without a label are not evaluated. To resume an
    interrupted run, run the same command again.
    """
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.experiments.results import append_run
    from cmr_hub.experiments.run import run_experiment
    from cmr_hub.gallery.build import build_gallery
    from cmr_hub.model_training import load_training_data
    from cmr_hub.models.files import refuse_foreign_directory
    from cmr_hub.models.names import SNAPSHOTS
    from cmr_hub.training.finetune import FineTuning
    from cmr_hub.training.finetune_text import TextFineTuning
    from cmr_hub.training.snapshots import write_snapshots
    from cmr_hub.training.trainer import remove_checkpoints
    from cmr_hub.writer import exclusive_lock

    changes = Changes(epochs, batch_size, learning_rate, dim, temperature, seeds, objective)
    # Report wrong names and files before data are read or downloaded.
    method = None if preset is None else changes.of(get_method(preset))
    if method is not None:
        refuse_without_model(method)
    refuse_foreign_directory(out)
    checkpoints = out.resolve().with_name(f"{out.resolve().name}.checkpoints")
    placement = Placement.of(device)
    texts = None
    if text_encoder_name is not None or text_option is not None:
        texts = text_encoder(text_encoder_name or "bow", **named_options(text_option))
    images = None
    if image_weights:
        images = image_encoder(image_encoder_name or "mobilenet_v2", image_weights)
    loaded = load_training_data(datasets, root, protocol, split)
    method = method or changes.of(get_method(_default_preset(datasets, loaded)))
    refuse_without_labels(loaded, method)
    image_encoder_name, texts = _encoders(method, image_encoder_name, images, texts)
    console.print(
        _start_text(loaded, method, image_encoder_name, texts.name, split), soft_wrap=True
    )
    pictures = isinstance(loaded, PairDataset)
    images = (images or image_encoder(image_encoder_name)) if pictures else None
    features = FeatureCache(cache)
    with exclusive_lock(checkpoints, "give another --out"):
        experiment = run_experiment(
            loaded,
            method,
            seed,
            image_encoder=images and images.to(placement),
            text_encoder=texts.to(placement) if pictures else None,
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
            say(experiment.summary())
            raise CMRError(f"{method.name} does not produce a model that can be saved")
        if isinstance(loaded, PairDataset) and gallery != "none":
            part = loaded if gallery == "all" else loaded.split("test")
            model.gallery = build_gallery(model, part, cache=features, progress=True)
        model.save_pretrained(out)
        if experiment.stages:
            write_snapshots(out / SNAPSHOTS, experiment.test.ids, experiment.stages)
        append_run(experiment.record, results)
        _print_results(experiment, out, results)
        # Last, so that the same command can resume from the checkpoints until now.
        remove_checkpoints(checkpoints)


def _default_preset(names: list[str], data: PairDataset | FeatureDataset) -> str:
    uses_captions = len(names) > 1 or not data.labelled.any()
    return CAPTIONS.name if uses_captions else LABELLED


def _encoders(
    method: Preset | Baseline,
    image_name: str | None,
    images: ImageEncoder | None,
    texts: TextEncoder | None,
) -> tuple[str, TextEncoder]:
    """Return the name of the image encoder and the text encoder, with defaults for the method."""
    from cmr_hub.model_training import default_image_encoder, default_text_encoder

    uses_captions = isinstance(method, Preset) and method.rows == "sentences"
    if image_name is None:
        image_name = default_image_encoder() if uses_captions and images is None else "mobilenet_v2"
    return image_name, texts or text_encoder(default_text_encoder() if uses_captions else "bow")


def _start_text(
    data: PairDataset | FeatureDataset,
    method: Preset | Baseline,
    images: str,
    texts: str,
    split: str | None,
) -> str:
    """Return a description of the run, which is printed before training."""
    encoders = f", {images} and {texts}" if isinstance(data, PairDataset) else ""
    lines = [f"Training on {data.name}, protocol {data.protocol}, by {method.name}{encoders}."]
    if AS_TEST in data.protocol:
        why = "There is no test split: the" if split is None else "The"
        lines.append(
            f"{why} validation split is evaluated, and settings are chosen on a part of the "
            "training pairs."
        )
    return "\n".join(lines)


def _print_results(experiment: Experiment, out: Path, results: Path) -> None:
    say(experiment.summary())
    console.print(
        f"{experiment.record.epochs} epochs in {experiment.record.seconds:.1f} s. "
        f"Saved {out}; added a line to {results}.",
        soft_wrap=True,
    )
    if experiment.model is not None and experiment.model.gallery is not None:
        console.print(f'Now try: cmr search {out} "two men on a motorbike"', soft_wrap=True)
