"""Define the command `cmr evaluate`."""

from __future__ import annotations

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
from cmr_hub.cli.terminal import json_text
from cmr_hub.datasets import DATASETS, load_dataset
from cmr_hub.datasets.measured import measured_split
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import JSONObject


def evaluate(
    model_name: ModelName,
    root: Root = None,
    dataset: Annotated[
        str | None,
        typer.Option(help=f"Evaluate on another dataset: {', '.join(DATASETS)}."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split: train, validation or test. Default: test, or validation if there is no "
            "test split."
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="With --dataset: append the figures to this results file."),
    ] = None,
    trec: Annotated[
        Path | None,
        typer.Option(
            help="Folder for rankings and relevance judgements as TREC run and qrels files."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    cache: Cache = None,
    device: Device = "auto",
    backend: Backend = "auto",
    int8: Int8 = False,
    allow_download: AllowDownload = False,
) -> None:
    """Evaluate a saved model on its training dataset, or on another dataset.

    Each caption is a query for its picture, and each picture is a query for its captions. With
    labels, class MAP is reported as well, and items without a label are ignored.
    """
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.experiments.results import append_run
    from cmr_hub.experiments.transfer import evaluate_transfer
    from cmr_hub.loading import load

    model = load(
        model_name, device=device, backend=backend, int8=int8, allow_download=allow_download
    )
    if dataset is None:
        if results is not None:
            raise CMRError(
                "--results needs --dataset: training has already added a line for its dataset"
            )
        table, record = _on_training_dataset(
            model, model_name, root, split, FeatureCache(cache), trec
        )
    else:
        data = load_dataset(dataset, root)
        split = measured_split(data, split)
        transfer = evaluate_transfer(
            model, data, split, FeatureCache(cache), trec=trec, progress=True
        )
        table, record = transfer.table(), transfer.record.to_dict()
        if results is not None:
            append_run(transfer.record, results)
    if as_json:
        typer.echo(json_text(record))
        return
    console.print(f"{record['dataset']}, protocol {record['protocol']}, {split or 'test'} split")
    console.print(table, highlight=False)
    if results is not None:
        console.print(f"Added a line to {results}.", soft_wrap=True)


def _on_training_dataset(
    model: CrossModalModel,
    name: str,
    root: Path | None,
    split: str | None,
    cache: FeatureCache,
    trec: Path | None,
) -> tuple[str, JSONObject]:
    """Evaluate on the training dataset of the model; return a table as text and a record."""
    from cmr_hub.experiments.embedded import untrained_adapter
    from cmr_hub.experiments.measuring import measure_split
    from cmr_hub.model_evaluation import measure_own
    from cmr_hub.models.zero_shot_comparison import starts_from_features

    trained = model.training
    if not {"dataset", "protocol"} <= trained.keys():
        raise CMRError(
            f"{name} does not record its training dataset: give a dataset with --dataset"
        )
    figures, part = measure_own(model, split, cache, root, trec=trec, progress=True)
    zero_shot = None
    if starts_from_features(trained):
        encoders = model.image.encoder, model.text.encoder
        untrained = untrained_adapter(model.dim)
        zero_shot = measure_split(untrained, untrained, part, *encoders, cache).report
    described = ("dataset", "protocol", "image_encoder", "text_encoder", "preset", "objective")
    facts = {key: trained.get(key) for key in (*described, "seed", "epochs")}
    facts["classes"] = list(model.classes)
    if zero_shot is not None:
        facts["zero_shot"] = zero_shot.to_dict()
    return figures.table(zero_shot), facts | figures.to_dict()
