"""Datasets with something to measure on, by the names that a run is recorded under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from cmr_hub.datasets import FeatureDataset, PairDataset, load_dataset
from cmr_hub.datasets.columns import Columns
from cmr_hub.datasets.joined import PLUS, joined
from cmr_hub.errors import DataFormatError

D = TypeVar("D", bound=Columns)

AS_TEST = " (validation as test)"
"""At the end of a protocol whose validation split is the one to be measured on."""


def with_test_split(dataset: D) -> D:
    """The dataset, in which the validation split is the test split where there is none.

    What training has to choose it then chooses on a part of the training split. The protocol says
    so, and `load_measured` reads it again.
    """
    if "test" in dataset.split_names or "validation" not in dataset.split_names:
        return dataset
    splits = np.where(dataset.splits == "validation", "test", dataset.splits)
    return replace(dataset, protocol=dataset.protocol + AS_TEST, splits=splits)


def join_measured(datasets: Sequence[PairDataset]) -> PairDataset:
    """Several datasets as one, each with a test split where it has anything held out.

    Where not all of them have a validation split left, what they have is trained on: training
    holds out a part of each.

    Raises:
        DataFormatError: a dataset is given twice, or none has anything to measure on.
    """
    measured = [with_test_split(dataset) for dataset in datasets]
    whole = joined(measured)
    if "test" not in whole.split_names:
        raise DataFormatError(f"{whole.name} has no test or validation split to measure on")
    counts = sum("validation" in part.split_names for part in measured)
    if 0 < counts < len(measured):
        splits = np.where(whole.splits == "validation", "train", whole.splits)
        return replace(whole, splits=splits)
    return whole


def load_measured(
    name: str, protocol: str, root: str | Path | None = None
) -> PairDataset | FeatureDataset:
    """The data that a run is recorded under, several joined datasets among them.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: as `load_dataset`.
    """
    names, protocols = name.split(PLUS), protocol.split(PLUS)
    if len(names) != len(protocols):
        raise DataFormatError(f"{name} cannot have been split by {protocol}")
    loaded = [
        load_dataset(one, root if len(names) == 1 else None, split.removesuffix(AS_TEST))
        for one, split in zip(names, protocols, strict=True)
    ]
    first, *others = loaded
    if not others:
        return with_test_split(first) if protocol.endswith(AS_TEST) else first
    pictures = [dataset for dataset in loaded if isinstance(dataset, PairDataset)]
    return join_measured(pictures)
