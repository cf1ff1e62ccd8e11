"""Join several datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cmr_hub.datasets.columns import Columns
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.errors import DataFormatError
from cmr_hub.types import IntArray

PLUS = "+"
"""Separator of the names, and of the protocols, of joined datasets."""


def joined(datasets: Sequence[PairDataset]) -> PairDataset:
    """Concatenate datasets; items keep their order and their splits.

    Classes are equal if their names differ only in spaces, hyphens and case ("tv monitor" and
    "tvmonitor"); the first dataset's spelling is kept. Ids become `dataset/id`.

    Raises:
        DataFormatError: There is no dataset, one is repeated, or one has several labels per item.
    """
    names = [dataset.name for dataset in datasets]
    if not names or len(set(names)) < len(names):
        raise DataFormatError(f"join at least one dataset, and none of them twice; got {names}")
    several = next((part.name for part in datasets if part.labels.ndim == 2), None)
    if several is not None:
        raise DataFormatError(f"{several} has several labels per item and cannot be joined")
    classes: dict[str, str] = {}
    labels = []
    for dataset in datasets:
        keys = [_key(name) for name in dataset.classes]
        for key, name in zip(keys, dataset.classes, strict=True):
            classes.setdefault(key, name)
        position = {key: number for number, key in enumerate(classes)}
        # The index −1, no label, selects the last entry.
        labels.append(np.array([*(position[key] for key in keys), -1])[dataset.single_labels])
    return PairDataset(
        name=PLUS.join(names),
        protocol=PLUS.join(dataset.protocol for dataset in datasets),
        ids=tuple(f"{part.name}/{id_}" for part in datasets for id_ in part.ids),
        labels=np.concatenate(labels).astype(np.int64),
        classes=tuple(classes.values()),
        splits=np.concatenate([dataset.splits for dataset in datasets]),
        images=tuple(image for dataset in datasets for image in dataset.images),
        sentences=tuple(document for dataset in datasets for document in dataset.sentences),
    )


def source_names(dataset: Columns) -> list[str]:
    """Return the names of the joined datasets, or the name of a single one."""
    return dataset.name.split(PLUS)


def sources(dataset: Columns) -> IntArray:
    """Return the (N,) index of the joined dataset that each item is from; zeros if not joined."""
    names = source_names(dataset)
    if len(names) == 1:
        return np.zeros(len(dataset), dtype=np.int64)
    return np.array([names.index(id_.split("/", 1)[0]) for id_ in dataset.ids], dtype=np.int64)


def parts(dataset: PairDataset) -> list[PairDataset]:
    """Split a joined dataset into its datasets, omitting empty ones."""
    names, source = source_names(dataset), sources(dataset)
    if len(names) == 1:
        return [dataset]
    protocols = dataset.protocol.split(PLUS)
    return [
        replace(dataset.subset(source == place), name=names[place], protocol=protocols[place])
        for place in np.unique(source)
    ]


def _key(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
