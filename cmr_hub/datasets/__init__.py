"""Datasets, each read by a function and under a name.

Example:
    >>> from cmr_hub import datasets                                        # doctest: +SKIP
    >>> pascal = datasets.PascalSentence("~/data/pascal-sentence")          # doctest: +SKIP
    >>> pascal.split("test").sentences[0]                                   # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.errors import CMRError, DataFormatError, DataNotFoundError, shown
from cmr_hub.lazy_names import lazy_names
from cmr_hub.registry import Registry

if TYPE_CHECKING:
    from cmr_hub.datasets.readers import (
        Flickr8k,
        Folder,
        PascalSentence,
        Wikipedia,
        WikipediaFeatures,
    )

__all__ = [
    "DATASETS",
    "FeatureDataset",
    "Flickr8k",
    "Folder",
    "PairDataset",
    "PascalSentence",
    "Wikipedia",
    "WikipediaFeatures",
    "dataset_names",
    "load_dataset",
    "register",
]

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

T = TypeVar("T")

if not TYPE_CHECKING:
    _READERS = ("Flickr8k", "Folder", "PascalSentence", "Wikipedia", "WikipediaFeatures")
    __getattr__, __dir__ = lazy_names(
        __name__, {name: f"cmr_hub.datasets.readers:{name}" for name in _READERS}
    )


def register(name: str) -> Callable[[T], T]:
    """A decorator that adds a reader under a name, in this process.

    A reader is a function of `root`, a folder or None, and perhaps of `protocol` and other
    options, that gives a `PairDataset` or a `FeatureDataset`. An installed package does the same,
    for every process, with an entry point of the group `cmr_hub.datasets`.

    Raises:
        CMRError: the name is taken, or it is no function.

    Example:
        >>> @register("holidays")                                           # doctest: +SKIP
        ... def read(root=None, protocol="all"): ...
        >>> cmr_hub.train("holidays")                                       # doctest: +SKIP
    """
    return DATASETS.register(name)


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
    if not isinstance(dataset, PairDataset | FeatureDataset):
        raise CMRError(
            f"the reader of {name} gave {shown(dataset)}: it must give a PairDataset or a "
            "FeatureDataset"
        )
    if check_images and isinstance(dataset, PairDataset):
        dataset = dataset.without_broken_images()
    if not len(dataset):
        raise DataFormatError(f"nothing in {name} can be used: {dataset.report.summary()}")
    if len(dataset.report):
        _log.warning("%s: %s", name, dataset.report.summary())
    return dataset
