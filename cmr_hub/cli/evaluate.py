"""`cmr evaluate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from cmr_hub.cli.options import Cache, ModelDirectory, Root, console
from cmr_hub.datasets import load_dataset
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.datasets import FeatureDataset, PairDataset


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
