"""Evaluate a model from Python in one call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets import FeatureDataset
from cmr_hub.datasets.given import ARRAYS, DataLike, as_dataset
from cmr_hub.datasets.measured import AS_TEST, load_measured, measured_split
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.errors import CMRError, shown
from cmr_hub.experiments.measuring import Figures, measure_split
from cmr_hub.experiments.pairs import complete_items, measured_items
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.models.cross_modal import CrossModalModel

if TYPE_CHECKING:
    from cmr_hub.datasets import PairDataset


def evaluate(
    model: CrossModalModel,
    data: DataLike | None = None,
    *,
    split: str | None = None,
    root: str | Path | None = None,
    protocol: str | None = None,
    cache_dir: str | Path | None = None,
    trec_dir: str | Path | None = None,
    progress: bool = False,
) -> Figures:
    """Evaluate image-to-text and text-to-image retrieval.

    If only some items have a label, the others are left out, and their number is logged.

    Args:
        model: A model from `load` or `train`.
        data: Name of a dataset, such as `"flickr8k"`; a folder in the format of
            `datasets.Folder`; a dataset; or feature arrays `(images, texts)` or
            `(images, texts, labels)` of shapes (N, Di), (N, Dt) and (N,), as inputs of the
            model's projectors. Default: the dataset that the model was trained on.
        split: "train", "validation", "test" or "all". Default: "test" or, if there is no test
            split, "validation". Ignored for arrays, whose rows are all used.
        root, protocol: Folder and protocol of a dataset given by name.
        cache_dir: Folder of cached features. Default: `$CMR_CACHE_HOME`.
        trec_dir: Folder to write the rankings and relevance judgements to, as TREC files.
        progress: Show progress bars.

    Returns:
        The figures. `print` shows a table, `report.map_avg` and `captions.recall_avg` are single
        figures, and `to_dict()` returns all of them.

    Raises:
        UnknownNameError: The dataset, protocol or split does not exist.
        DataNotFoundError, DataFormatError: The data cannot be read.
        CMRError: The model cannot be evaluated on this data; the message says why.

    Example:
        >>> figures = evaluate(model, "flickr8k", split="validation")       # doctest: +SKIP
        >>> figures.captions.t2i.recall[10]                                 # doctest: +SKIP
    """
    if not isinstance(model, CrossModalModel):
        raise CMRError(f"evaluate needs a model, as load() and train() return, not {shown(model)}")
    cache = FeatureCache(cache_dir)
    trec = None if trec_dir is None else Path(trec_dir)
    if data is None:
        return measure_own(model, split, cache, root, trec=trec, progress=progress)[0]
    dataset = as_dataset(data, root, protocol)
    if dataset.name != ARRAYS and split != "all":
        dataset = dataset.split(measured_split(dataset, split))
    if isinstance(dataset, FeatureDataset):
        return _measure_features(model, dataset, cache, trec)
    test = replace(dataset, splits=np.full(len(dataset), "test"))
    return evaluate_transfer(model, test, "test", cache, trec=trec, progress=progress).figures


def measure_own(
    model: CrossModalModel,
    split: str | None,
    cache: FeatureCache,
    root: str | Path | None = None,
    *,
    trec: Path | None = None,
    progress: bool = False,
) -> tuple[Figures, PairDataset | FeatureDataset]:
    """Evaluate a model on a split of its training dataset; return the figures and the split.

    Raises:
        CMRError: The model does not record its dataset, or it was arrays.
    """
    trained = model.training
    if not {"dataset", "protocol"} <= trained.keys():
        raise CMRError(
            f"{model.source or 'the model'} does not record which dataset it was trained on: name "
            "one to evaluate it on"
        )
    if trained["dataset"] == ARRAYS:
        raise CMRError("the model was trained on arrays of features: pass them to evaluate it")
    loaded = load_measured(trained["dataset"], trained["protocol"], root)
    by_sentences = (trained.get("settings") or {}).get("rows") == "sentences"
    if split == "validation" and AS_TEST in loaded.protocol and split not in loaded.split_names:
        split = "test"  # the loaded dataset has its validation split under this name
    part = complete_items(loaded, labelled=not by_sentences)
    part = measured_items(part if split == "all" else part.split(measured_split(part, split)))
    encoders = model.image.encoder, model.text.encoder
    figures = measure_split(
        model.image,
        model.text,
        part,
        *encoders,
        cache,
        centroids=model.centroids,
        trec=trec,
        progress=progress,
    )
    return figures, part


def _measure_features(
    model: CrossModalModel, dataset: FeatureDataset, cache: FeatureCache, trec: Path | None
) -> Figures:
    for tower, rows, name in (
        (model.image, dataset.image_features, "images"),
        (model.text, dataset.text_features, "texts"),
    ):
        if rows.shape[1] != tower.in_dim:
            raise CMRError(
                f"the model takes features of {name} with {tower.in_dim} numbers, but these have "
                f"{rows.shape[1]}. To evaluate vectors of the common space, use "
                "cmr_hub.metrics.evaluate_retrieval"
            )
    part = measured_items(dataset)
    # Other data may have other classes.
    centroids = model.centroids if dataset.classes == model.classes else None
    return measure_split(
        model.image, model.text, part, None, None, cache, centroids=centroids, trec=trec
    )
