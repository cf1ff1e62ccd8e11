"""`cmr evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmr_hub.cli.options import (
    AllowDownload,
    Backend,
    Cache,
    Device,
    Int8,
    ModelName,
    Root,
    console,
)
from cmr_hub.datasets import DATASETS, load_dataset
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.evaluation.evaluate import RetrievalReport
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import JSONObject


def evaluate(
    model_name: ModelName,
    root: Root = None,
    dataset: Annotated[
        str | None,
        typer.Option(help=f"Another dataset than its own; one of: {', '.join(DATASETS)}."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    results: Annotated[
        Path | None,
        typer.Option(help="With --dataset: a results store to add a line to."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    cache: Cache = None,
    device: Device = "auto",
    backend: Backend = "auto",
    int8: Int8 = False,
    allow_download: AllowDownload = False,
) -> None:
    """Measures a saved model again, on its own dataset or on another.

    A dataset without labels is measured by captions: each is a query, its picture the answer.

    Examples: `cmr evaluate runs/pascal --json`,
    `cmr evaluate runs/pascal --dataset flickr8k --split validation`
    """
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.evaluation.results import append_run
    from cmr_hub.evaluation.transfer import evaluate_transfer
    from cmr_hub.loading import load

    model = load(
        model_name, device=device, backend=backend, int8=int8, allow_download=allow_download
    )
    if dataset is None:
        if results is not None:
            raise CMRError("--results wants --dataset: training has already added its own line")
        report, record, zero_shot = _own(model, model_name, root, split, FeatureCache(cache))
    else:
        transfer = evaluate_transfer(
            model, load_dataset(dataset, root), split, FeatureCache(cache), progress=True
        )
        report, record, zero_shot = transfer.report, transfer.record, transfer.zero_shot
        if results is not None:
            append_run(record, results)
    if as_json:
        typer.echo(json.dumps(record, indent=2))
        return
    console.print(f"{record['dataset']}, protocol {record['protocol']}, {split} split")
    console.print(report.table(zero_shot), highlight=False)
    if results is not None:
        console.print(f"Added a line to {results}.", soft_wrap=True)


def _own(
    model: CrossModalModel, name: str, root: Path | None, split: str, cache: FeatureCache
) -> tuple[RetrievalReport, JSONObject, RetrievalReport | None]:
    """Figures on the dataset that the model was trained on, and zero-shot ones where it has any."""
    from cmr_hub.evaluation.embedded import evaluate_embeddings, untrained_adapter
    from cmr_hub.evaluation.pairs import complete_pairs, paired_features
    from cmr_hub.models.zero_shot_comparison import starts_from_features

    trained = model.training
    if not {"dataset", "protocol"} <= trained.keys():
        raise CMRError(
            f"{name} does not say which dataset it was trained on: name one to measure it on, with "
            "--dataset"
        )
    loaded = load_dataset(trained["dataset"], root, trained["protocol"])
    features = paired_features(
        complete_pairs(loaded).split(split),
        model.image.encoder,
        model.text.encoder,
        cache,
        progress=True,
    )
    report = evaluate_embeddings(
        model.image.embed(features.images),
        model.text.embed(features.texts),
        features.labels,
        model.centroids,
    )
    zero_shot = None
    if starts_from_features(trained):
        untrained = untrained_adapter(features.images.shape[1])
        embeddings = untrained.embed(features.images), untrained.embed(features.texts)
        zero_shot = evaluate_embeddings(*embeddings, features.labels, None)
    described = ("dataset", "protocol", "image_encoder", "text_encoder", "preset", "objective")
    facts = {key: trained.get(key) for key in (*described, "seed", "epochs")}
    facts["classes"] = list(model.classes)
    if zero_shot is not None:
        facts["zero_shot"] = zero_shot.to_dict()
    return report, facts | report.to_dict(), zero_shot
