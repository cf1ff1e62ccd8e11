"""Datasets, by function and by name.

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
        Coco,
        Features,
        Flickr8k,
        Flickr30k,
        Folder,
        MIRFlickr25k,
        NUSWide,
        PascalSentence,
        Wikipedia,
        WikipediaFeatures,
        XMedia,
        XMediaNet,
    )

__all__ = [
    "DATASETS",
    "Coco",
    "FeatureDataset",
    "Features",
    "Flickr8k",
    "Flickr30k",
    "Folder",
    "MIRFlickr25k",
    "NUSWide",
    "PairDataset",
    "PascalSentence",
    "Wikipedia",
    "WikipediaFeatures",
    "XMedia",
    "XMediaNet",
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
        "features": "cmr_hub.datasets.feature_files:read",
        "coco": "cmr_hub.datasets.karpathy:read_coco",
        "flickr30k": "cmr_hub.datasets.karpathy:read_flickr30k",
        "mirflickr25k": "cmr_hub.datasets.mirflickr:read",
        "nus-wide": "cmr_hub.datasets.nus_wide:read",
        "xmedia": "cmr_hub.datasets.xmedia:read_xmedia",
        "xmedianet": "cmr_hub.datasets.xmedia:read_xmedianet",
    },
    separate={"sketches": "cmr-hub-sketches, or in a clone of CMR Hub: pip install ./sketches"},
)

_log = logging.getLogger(__name__)

T = TypeVar("T")

if not TYPE_CHECKING:
    _READERS = (
        *("Coco", "Features", "Flickr8k", "Flickr30k", "Folder", "MIRFlickr25k", "NUSWide"),
        *("PascalSentence", "Wikipedia", "WikipediaFeatures", "XMedia", "XMediaNet"),
    )
    __getattr__, __dir__ = lazy_names(
        __name__, {name: f"cmr_hub.datasets.readers:{name}" for name in _READERS}
    )


def register(name: str) -> Callable[[T], T]:
    """Return a decorator that adds a reader under a name, in this process.

    A reader is a function of `root`, a folder or None, and optionally of `protocol` and other
    options, that returns a `PairDataset` or a `FeatureDataset`. Installed packages can declare an
    entry point of the group `cmr_hub.datasets` instead.

    Raises:
        CMRError: The name is taken, or the reader is not a function.

    Example:
        >>> @register("holidays")                                           # doctest: +SKIP
        ... def read(root=None, protocol="all"): ...
        >>> cmr_hub.train("holidays")                                       # doctest: +SKIP
    """
    return DATASETS.register(name)


def dataset_names() -> list[str]:
    """Return the names that `load_dataset` accepts."""
    return list(DATASETS)


def load_dataset(
    name: str,
    root: str | Path | None = None,
    protocol: str | None = None,
    *,
    check_images: bool = True,
    **options: Any,
) -> PairDataset | FeatureDataset:
    """Read a dataset. Problems are stored in its `report`, and a summary is logged.

    Args:
        name: One of `dataset_names()`.
        root: Folder of the dataset. Default: its folder in `$CMR_DATA_HOME`.
        protocol: Protocol of the splits. Default: that of the reader.
        check_images: Decode every picture once and drop broken ones.
        options: Further options of the reader.

    Raises:
        UnknownNameError: There is no such dataset or protocol.
        DataNotFoundError: The dataset does not exist, or is not readable.
        DataFormatError: It cannot be parsed, or has no usable item.
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
            f"the reader of {name} returned {shown(dataset)}: it must return a PairDataset or a "
            "FeatureDataset"
        )
    if check_images and isinstance(dataset, PairDataset):
        dataset = dataset.without_broken_images()
    if not len(dataset):
        raise DataFormatError(f"nothing in {name} can be used: {dataset.report.summary()}")
    if len(dataset.report):
        _log.warning("%s: %s", name, dataset.report.summary())
    return dataset
