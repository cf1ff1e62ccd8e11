"""`cmr`: data, train, evaluate, search, demo."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from cmr_hub.datasets import DATASETS, dataset_names, load_dataset
from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder
from cmr_hub.encoders.texts import TEXT_ENCODERS, text_encoder
from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.evaluation.methods import get_method, method_names

if TYPE_CHECKING:
    from cmr_hub.datasets import FeatureDataset, PairDataset
    from cmr_hub.gallery.hit import Hit

app = typer.Typer(
    help=(
        "Cross-modal retrieval: train projectors of images and texts into one common space, "
        "measure them, and search.\n\n"
        "A first road: `cmr data`, then `cmr train`, `cmr search`, `cmr demo`."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console()


class GalleryChoice(StrEnum):
    """Which pairs a trained model is saved with, for searching."""

    TEST = "test"
    ALL = "all"
    NONE = "none"


class Target(StrEnum):
    """What to search among."""

    IMAGE = "image"
    TEXT = "text"


Root = Annotated[
    Path | None,
    typer.Option(help="The dataset's folder; by default the one of its name in $CMR_DATA_HOME."),
]
Protocol = Annotated[
    str | None, typer.Option(help="How to split it, e.g. 800/200, 800/100/100, random-7.")
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Where image features are kept; by default $CMR_CACHE_HOME."),
]
ModelDirectory = Annotated[
    Path, typer.Argument(help="A model directory, as `cmr train --out` writes it.")
]


@app.command()
def data(
    name: Annotated[
        str | None, typer.Argument(help="A dataset; without it, the list of all.")
    ] = None,
    root: Root = None,
    protocol: Protocol = None,
) -> None:
    """Shows which datasets are here, or reads one and reports what is in it.

    Example: `cmr data pascal-sentence --protocol 800/100/100`
    """
    if name is None:
        table = Table("dataset", "found")
        for known in dataset_names():
            table.add_row(known, _where(known))
        console.print(table)
        console.print("Datasets are looked for under $CMR_DATA_HOME/<name>, or at --root.")
        return
    dataset = load_dataset(name, root, protocol)
    console.print(
        f"{dataset.name}, protocol {dataset.protocol}: {len(dataset)} items", style="bold"
    )
    table = Table("split", "items", "classes")
    for split in dataset.split_names:
        labels = dataset.split(split).labels
        table.add_row(split, str(len(labels)), str(len(set(labels[labels >= 0].tolist()))))
    console.print(table)
    console.print(dataset.report.summary() if len(dataset.report) else "Nothing was left out.")


def _where(name: str) -> str:
    if name == "folder":
        return "any ImageFolder with metadata.jsonl or metadata.csv (--root)"
    try:
        load_dataset(name, check_images=False)
    except DataNotFoundError:
        return "no"
    except CMRError as error:
        return f"damaged: {error}"
    return "yes"


@app.command()
def train(
    dataset: Annotated[str, typer.Argument(help=f"One of: {', '.join(DATASETS)}.")],
    out: Annotated[Path, typer.Option(help="A new directory for the model.")],
    root: Root = None,
    protocol: Protocol = None,
    image_encoder_name: Annotated[
        str, typer.Option("--image-encoder", help=f"One of: {', '.join(IMAGE_ENCODERS)}.")
    ] = "mobilenet_v2",
    image_weights: Annotated[
        Path | None,
        typer.Option(help="The encoder's weights as safetensors; else torchvision downloads its."),
    ] = None,
    text_encoder_name: Annotated[
        str, typer.Option("--text-encoder", help=f"One of: {', '.join(TEXT_ENCODERS)}.")
    ] = "bow",
    text_option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the text encoder as name=value; may be repeated."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help=f"A way to train: {', '.join(method_names())}.")
    ] = "acmr-paper",
    epochs: Annotated[int | None, typer.Option(min=1, help="Train for at most so many.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    gallery: Annotated[
        GalleryChoice, typer.Option(help="Which pairs to save with the model, for searching.")
    ] = GalleryChoice.TEST,
    results: Annotated[Path, typer.Option(help="The results store to add a line to.")] = Path(
        "results/runs.jsonl"
    ),
    cache: Cache = None,
) -> None:
    """Trains projectors, measures them on the test split, and saves the model.

    A run that was stopped goes on where it was when the same command is given again.

    Example: `cmr train pascal-sentence --image-weights mobilenet_v2.safetensors --out runs/pascal`
    """
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.evaluation.experiment import run_experiment
    from cmr_hub.evaluation.results import append_run
    from cmr_hub.gallery.build import build_gallery
    from cmr_hub.models.files import refuse_foreign_directory
    from cmr_hub.training.presets import Preset

    method = get_method(preset)
    if epochs is not None:
        if not isinstance(method, Preset):
            raise CMRError(f"{preset} is fitted in closed form: it has no --epochs")
        method = replace(method, epochs=epochs)
    checkpoints = out.with_name(f"{out.name}.checkpoints")
    refuse_foreign_directory(out)
    loaded = load_dataset(dataset, root, protocol)
    features = FeatureCache(cache)
    pictures = isinstance(loaded, PairDataset)
    experiment = run_experiment(
        loaded,
        method,
        seed,
        image_encoder=image_encoder(image_encoder_name, image_weights) if pictures else None,
        text_encoder=text_encoder(text_encoder_name, **_options(text_option)) if pictures else None,
        cache=features,
        checkpoints=checkpoints,
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
    append_run(experiment.record, results)
    for file in checkpoints.glob("*.safetensors"):
        file.unlink()
    if checkpoints.exists():
        checkpoints.rmdir()
    console.print(experiment.report.table(), highlight=False)
    console.print(
        f"{experiment.record['epochs']} epochs in {experiment.record['seconds']:.1f} s. "
        f"Saved {out}; added a line to {results}."
    )
    if model.gallery is not None:
        console.print(f'Now try: cmr search {out} "two men on a motorbike"')


def _options(pairs: list[str] | None) -> dict[str, Any]:
    """`name=value` strings; a value is read as JSON where it is: `min_df=2`, `stop_words=null`."""
    options: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise CMRError(f"--text-option wants name=value, not {pair!r}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


@app.command()
def evaluate(
    directory: ModelDirectory,
    root: Root = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    cache: Cache = None,
) -> None:
    """Measures a saved model again on the test split of the dataset it was trained on.

    Example: `cmr evaluate runs/pascal --json`
    """
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.evaluation.experiment import complete_pairs, evaluate_embeddings, paired_features
    from cmr_hub.loading import load

    model = load(directory)
    trained = model.training
    if not {"dataset", "protocol"} <= trained.keys():
        raise CMRError(f"{directory} does not say which dataset it was trained on")
    dataset: PairDataset | FeatureDataset = load_dataset(
        trained["dataset"], root, trained["protocol"]
    )
    features = paired_features(
        complete_pairs(dataset).split("test"),
        model.image_encoder,
        model.text_encoder,
        FeatureCache(cache),
        progress=True,
    )
    report = evaluate_embeddings(
        model.image_projector.embed(features.images),
        model.text_projector.embed(features.texts),
        features.labels,
        model.centroids,
    )
    if as_json:
        described = ("dataset", "protocol", "image_encoder", "text_encoder", "preset", "objective")
        facts = {key: trained.get(key) for key in (*described, "seed", "epochs")}
        typer.echo(json.dumps(facts | report.to_dict(), indent=2))
    else:
        console.print(f"{trained['dataset']}, protocol {trained['protocol']}, test split")
        console.print(report.table(), highlight=False)


@app.command()
def search(
    directory: ModelDirectory,
    text: Annotated[str | None, typer.Argument(help="A sentence to search for.")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to search with.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10,
    target: Annotated[
        Target | None, typer.Option(help="Search among these; else the other modality.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of hits.")] = False,
) -> None:
    """Searches the gallery of a model by a sentence or by a picture.

    Example: `cmr search runs/pascal "two men on a motorbike" -k 5`
    """
    from cmr_hub.loading import load

    hits: list[Hit] = load(directory).search(
        text, image=image, k=k, target=None if target is None else target.value
    )
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits], indent=2, default=str))
        return
    table = Table("rank", "score", "label", "id", "sentence", "path")
    for hit in hits:
        sentence = hit.sentences[0] if hit.sentences else ""
        table.add_row(
            str(hit.rank), f"{hit.score:.3f}", hit.label, hit.id, sentence, str(hit.path or "")
        )
    console.print(table)


@app.command()
def demo(
    directory: ModelDirectory,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="The port; by default the first free.")] = None,
) -> None:
    """Opens a page in the browser that searches the gallery of a model.

    Example: `cmr demo runs/pascal`
    """
    from cmr_hub.apps.search_page import launch

    launch(directory, host=host, port=port)


def main() -> None:
    """The console script: errors that a user can mend are one line, not a traceback."""
    errors = Console(stderr=True)
    logging.basicConfig(
        format="%(message)s",
        handlers=[RichHandler(console=errors, show_time=False, show_path=False)],
    )
    try:
        app()
    except CMRError as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("stopped; what was finished is kept")
        sys.exit(130)
