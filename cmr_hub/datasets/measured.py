"""Datasets with something to measure on, by the names that a run is recorded under."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from cmr_hub.datasets import FeatureDataset, PairDataset, load_dataset
from cmr_hub.datasets.columns import Columns
from cmr_hub.datasets.joined import PLUS, joined
from cmr_hub.datasets.protocols import SPLITS, stratified_holdout
from cmr_hub.errors import DataFormatError, shown

D = TypeVar("D", bound=Columns)

AS_TEST = " (validation as test)"
"""At the end of a protocol whose validation split is the one to be measured on."""
_HELD_OUT = re.compile(r"(.*) \((0\.\d+) held out, seed (\d+)\)")
"""What `with_held_out` makes of a protocol."""


def with_test_split(dataset: D) -> D:
    """The dataset, in which the validation split is the test split where there is none.

    What training has to choose it then chooses on a part of the training split. The protocol says
    so, and `load_measured` reads it again.
    """
    if "test" in dataset.split_names or "validation" not in dataset.split_names:
        return dataset
    splits = np.where(dataset.splits == "validation", "test", dataset.splits)
    return replace(dataset, protocol=dataset.protocol + AS_TEST, splits=splits)


def with_held_out(dataset: D, share: float, seed: int) -> D:
    """As `with_test_split`; where nothing is held out, a random part becomes the test split.

    The protocol says so, and `load_measured` draws the same part again.

    Args:
        dataset: perhaps of training pairs only.
        share: of each class that is held out, in (0, 1).
        seed: of the drawing.

    Raises:
        DataFormatError: it is no such share, or there are too few pairs.
    """
    if {"test", "validation"} & set(dataset.split_names):
        return with_test_split(dataset)
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise DataFormatError(
            f"the share that is held out lies between 0 and 1, not {shown(share)}"
        )
    _, held_out = stratified_holdout(dataset.labels, share, seed)
    if not len(held_out):
        raise DataFormatError(f"{len(dataset)} pairs of {dataset.name} are too few to hold any out")
    splits = np.full(len(dataset), "train", dtype=np.array(SPLITS).dtype)
    splits[held_out] = "test"
    protocol = f"{dataset.protocol} ({share:g} held out, seed {seed})"
    return replace(dataset, protocol=protocol, splits=splits)


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
    own_root = root if len(names) == 1 else None
    drawn = _HELD_OUT.fullmatch(protocol)
    if drawn is not None:
        return with_held_out(load_dataset(name, own_root, drawn[1]), float(drawn[2]), int(drawn[3]))
    loaded = [
        load_dataset(one, own_root, split.removesuffix(AS_TEST))
        for one, split in zip(names, protocols, strict=True)
    ]
    first, *others = loaded
    if not others:
        return with_test_split(first) if protocol.endswith(AS_TEST) else first
    pictures = [dataset for dataset in loaded if isinstance(dataset, PairDataset)]
    return join_measured(pictures)
