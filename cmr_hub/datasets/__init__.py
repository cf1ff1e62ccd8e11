"""Datasets by name: one reader per file and one line here for each."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.errors import DataFormatError, DataNotFoundError
from cmr_hub.registry import Registry

__all__ = ["DATASETS", "FeatureDataset", "PairDataset", "dataset_names", "load_dataset"]

DATASETS = Registry(
    "dataset",
    "cmr_hub.datasets",
    {
        "pascal-sentence": "cmr_hub.datasets.pascal_sentence:read",
        "wikipedia": "cmr_hub.datasets.wikipedia:read",
        "wikipedia-features": "cmr_hub.datasets.wikipedia_features:read",
        "flickr8k": "cmr_hub.datasets.flickr8k:read",
        "folder": "cmr_hub.datasets.folder:read",
    },
    separate={"sketches": "cmr-hub-sketches, or in a clone of CMR Hub: pip install ./sketches"},
)

_log = logging.getLogger(__name__)


def dataset_names() -> list[str]:
    """The names that `load_dataset` knows."""
    return list(DATASETS)


def load_dataset(
    name: str,
    root: str | Path | None = None,
    protocol: str | None = None,
    *,
    check_images: bool = True,
    **options: Any,
) -> PairDataset | FeatureDataset:
    """Reads a dataset; what is wrong with it goes into its `report` and, in short, into the log.

    Args:
        name: one of `dataset_names()`.
        root: its folder; by default the one under `$CMR_DATA_HOME`.
        protocol: how to split it; by default the reader's own.
        check_images: decode every picture once and leave out the broken ones.
        options: further options of the reader.

    Raises:
        UnknownNameError: no such dataset or protocol.
        DataNotFoundError: the dataset is not there, or may not be read.
        DataFormatError: it cannot be understood, or nothing usable is left of it.
    """
    read = DATASETS[name]
    if protocol is not None:
        options["protocol"] = protocol
    try:
        dataset: PairDataset | FeatureDataset = read(root, **options)
    except OSError as error:
        raise DataNotFoundError(f"{name} cannot be read: {error}") from error
    if check_images and isinstance(dataset, PairDataset):
        dataset = dataset.without_broken_images()
    if not len(dataset):
        raise DataFormatError(f"nothing in {name} can be used: {dataset.report.summary()}")
    if len(dataset.report):
        _log.warning("%s: %s", name, dataset.report.summary())
    return dataset
