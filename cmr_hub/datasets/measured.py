"""Datasets with a split to evaluate on, identified by the names that runs record."""

from __future__ import annotations

import logging
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
from cmr_hub.errors import DataFormatError, UnknownNameError, shown

logger = logging.getLogger(__name__)

D = TypeVar("D", bound=Columns)

AS_TEST = " (validation as test)"
"""Suffix of a protocol whose validation split serves as the test split."""
_HELD_OUT = re.compile(r"(.*) \((0\.\d+) held out, seed (\d+)\)")
"""Pattern of the protocols of `with_held_out`."""


def measured_split(dataset: Columns, split: str | None = None) -> str:
    """Return `split` if given, otherwise "test" or, if there is no test split, "validation"."""
    names = dataset.split_names
    if split is not None or "test" in names or "validation" not in names:
        return split or "test"
    logger.warning("%s has no test split: the validation split is used", dataset.name)
    return "validation"


def with_test_split(dataset: D, split: str | None = None) -> D:
    """Return the dataset with its validation split as test split, if it has no test split.

    Training then validates on a part of the training split. The protocol records this, so that
    `load_measured` can restore the dataset.

    Args:
        dataset: A dataset.
        split: "validation" to use the validation split even if there is a test split, which is then
            left out; "test" to require a test split.

    Raises:
        UnknownNameError: There is no such split, or it is not one of these two.
    """
    if split not in (None, "test", "validation"):
        raise UnknownNameError("split to evaluate on", split, ["test", "validation"])
    if split is None:
        split = "validation" if "validation" in dataset.split_names else "test"
        if "test" in dataset.split_names or split == "test":
            return dataset
    dataset.split(split)  # must exist
    if split == "test":
        return dataset
    dataset = dataset.subset(dataset.splits != "test")
    splits = np.where(dataset.splits == "validation", "test", dataset.splits)
    return replace(dataset, protocol=dataset.protocol + AS_TEST, splits=splits)


def with_held_out(dataset: D, share: float, seed: int, split: str | None = None) -> D:
    """Apply `with_test_split`; if nothing is held out, a random part becomes the test split.

    The protocol records this, so that `load_measured` can restore the same part.

    Args:
        dataset: A dataset, which may contain training pairs only.
        share: Share of each class to hold out, in (0, 1).
        seed: Random seed.
        split: See `with_test_split`.

    Raises:
        DataFormatError: `share` is out of range, or there are too few pairs.
        UnknownNameError: See `with_test_split`.
    """
    if split not in (None, "test") or {"test", "validation"} & set(dataset.split_names):
        return with_test_split(dataset, split)
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise DataFormatError(f"the share to hold out must lie between 0 and 1, not {shown(share)}")
    _, held_out = stratified_holdout(dataset.labels, share, seed)
    if not len(held_out):
        raise DataFormatError(f"{len(dataset)} pairs of {dataset.name} are too few to hold any out")
    splits = np.full(len(dataset), "train", dtype=np.array(SPLITS).dtype)
    splits[held_out] = "test"
    protocol = f"{dataset.protocol} ({share:g} held out, seed {seed})"
    return replace(dataset, protocol=protocol, splits=splits)


def join_measured(datasets: Sequence[PairDataset], split: str | None = None) -> PairDataset:
    """Join several datasets, each with a test split if it has any held-out pairs.

    Unless all of them still have a validation split, those splits become training data, and
    training holds out a part of each dataset.

    Args:
        datasets: Different datasets.
        split: See `with_test_split`.

    Raises:
        DataFormatError: A dataset is repeated, or none has held-out pairs.
        UnknownNameError: See `with_test_split`.
    """
    parts = [with_test_split(dataset, split) for dataset in datasets]
    union = joined(parts)
    if "test" not in union.split_names:
        raise DataFormatError(f"{union.name} has no test or validation split to evaluate on")
    counts = sum("validation" in part.split_names for part in parts)
    if 0 < counts < len(parts):
        splits = np.where(union.splits == "validation", "train", union.splits)
        return replace(union, splits=splits)
    return union


def load_measured(
    name: str, protocol: str, root: str | Path | None = None
) -> PairDataset | FeatureDataset:
    """Load the data of a recorded run, which may be several joined datasets.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `load_dataset`.
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
    loaded = [
        with_test_split(part, "validation") if split.endswith(AS_TEST) else part
        for part, split in zip(loaded, protocols, strict=True)
    ]
    if len(loaded) == 1:
        return loaded[0]
    return join_measured([dataset for dataset in loaded if isinstance(dataset, PairDataset)])
