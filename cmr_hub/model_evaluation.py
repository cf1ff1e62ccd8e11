"""`evaluate`: what a model reaches on a dataset, a folder or arrays of features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets import FeatureDataset
from cmr_hub.datasets.given import ARRAYS, DataLike, as_dataset
from cmr_hub.datasets.measured import load_measured
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.errors import CMRError, shown
from cmr_hub.experiments.measuring import Figures, measure_split
from cmr_hub.experiments.pairs import complete_items
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.models.cross_modal import CrossModalModel

if TYPE_CHECKING:
    from cmr_hub.datasets import PairDataset


def evaluate(
    model: CrossModalModel,
    data: DataLike | None = None,
    *,
    split: str = "test",
    root: str | Path | None = None,
    protocol: str | None = None,
    cache_dir: str | Path | None = None,
    progress: bool = False,
) -> Figures:
    """Measures a model: image→text and text→image retrieval.

    Args:
        model: as `load` or `train` give it.
        data: a registered name, such as `"flickr8k"`; a folder as `datasets.Folder` reads it; a
            dataset; or `(images, texts)` or `(images, texts, labels)`, arrays (N, Di), (N, Dt)
            and (N,) of what the model's projectors take. None: the dataset that it was trained
            on.
        split: "train", "validation", "test", or "all". Arrays have none: all rows are measured.
        root, protocol: of a dataset by name.
        cache_dir: where features are kept; by default `$CMR_CACHE_HOME`.
        progress: show how far it is.

    Returns:
        What it reaches: `print` shows it, `report.map_avg`, `captions.recall_avg` and so on are
        single figures, `to_dict()` is all of them.

    Raises:
        UnknownNameError: no such dataset, protocol or split.
        DataNotFoundError, DataFormatError: the data cannot be read.
        CMRError: the model cannot be measured on such data; the message says why.

    Example:
        >>> figures = evaluate(model, "flickr8k", split="validation")       # doctest: +SKIP
        >>> figures.captions.t2i.recall[10]                                 # doctest: +SKIP
    """
    if not isinstance(model, CrossModalModel):
        raise CMRError(f"evaluate takes a model, as load() and train() give it, not {shown(model)}")
    cache = FeatureCache(cache_dir)
    if data is None:
        return measure_own(model, split, cache, root, progress=progress)[0]
    dataset = as_dataset(data, root, protocol)
    if dataset.name != ARRAYS and split != "all":
        dataset = dataset.split(split)
    if isinstance(dataset, FeatureDataset):
        return _measure_features(model, dataset, cache)
    whole = replace(dataset, splits=np.full(len(dataset), "test"))
    return evaluate_transfer(model, whole, "test", cache, progress=progress).figures


def measure_own(
    model: CrossModalModel,
    split: str,
    cache: FeatureCache,
    root: str | Path | None = None,
    *,
    progress: bool = False,
) -> tuple[Figures, PairDataset | FeatureDataset]:
    """Figures on a split of the dataset that a model was trained on, and that split.

    Raises:
        CMRError: the model does not say which it was, or it was arrays.
    """
    trained = model.training
    if not {"dataset", "protocol"} <= trained.keys():
        raise CMRError(
            f"{model.source or 'the model'} does not say which dataset it was trained on: name "
            "one to measure it on"
        )
    if trained["dataset"] == ARRAYS:
        raise CMRError("the model was trained on arrays of features: give those to measure it on")
    loaded = load_measured(trained["dataset"], trained["protocol"], root)
    by_sentences = (trained.get("settings") or {}).get("rows") == "sentences"
    part = complete_items(loaded, labelled=not by_sentences)
    part = part if split == "all" else part.split(split)
    encoders = model.image.encoder, model.text.encoder
    figures = measure_split(
        model.image,
        model.text,
        part,
        *encoders,
        cache,
        centroids=model.centroids,
        progress=progress,
    )
    return figures, part


def _measure_features(
    model: CrossModalModel, dataset: FeatureDataset, cache: FeatureCache
) -> Figures:
    for tower, rows, what in (
        (model.image, dataset.image_features, "images"),
        (model.text, dataset.text_features, "texts"),
    ):
        if rows.shape[1] != tower.in_dim:
            raise CMRError(
                f"the model takes features of {what} of {tower.in_dim} numbers, and these have "
                f"{rows.shape[1]}. Vectors of the common space are measured by "
                "cmr_hub.metrics.evaluate_retrieval"
            )
    # The classes of other data may be others.
    centroids = model.centroids if dataset.classes == model.classes else None
    return measure_split(model.image, model.text, dataset, None, None, cache, centroids=centroids)
