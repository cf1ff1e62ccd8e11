"""Data passed from Python: the name of a dataset, a folder, arrays, or a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cmr_hub.datasets import DATASETS, FeatureDataset, PairDataset, load_dataset
from cmr_hub.datasets.features import feature_rows, label_column
from cmr_hub.errors import CMRError, DataFormatError, shown

FeatureArrays: TypeAlias = (
    tuple[npt.ArrayLike, npt.ArrayLike] | tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
)
"""(N, Di) image features, (N, Dt) features of their texts and, optionally, N labels, or (N, C) rows
of 0 and 1."""

DataLike: TypeAlias = str | Path | PairDataset | FeatureDataset | FeatureArrays
"""A name such as "flickr8k" or "flickr8k:6000/1000", a folder, a file of features, a dataset, or
arrays."""

ARRAYS = "arrays"
"""Name of a dataset of arrays."""


def as_dataset(
    data: DataLike, root: str | Path | None = None, protocol: str | None = None
) -> PairDataset | FeatureDataset:
    """Return the data as a dataset.

    Args:
        data: See `DataLike`. A string is the name of a dataset, or the path of a folder or file.
        root, protocol: Folder and protocol of a dataset given by name.

    Raises:
        UnknownNameError: There is no such dataset, protocol or folder.
        DataNotFoundError, DataFormatError: The data cannot be read.
        CMRError: The data has another type.
    """
    if isinstance(data, PairDataset | FeatureDataset):
        return data
    if isinstance(data, str):
        name, _, suffix = data.partition(":")
        if name in DATASETS or not Path(data).expanduser().exists():
            return load_dataset(name, root, protocol or suffix or None)
    if isinstance(data, str | Path):
        is_file = Path(data).expanduser().is_file()
        return load_dataset("features" if is_file else "folder", data, protocol)
    if is_arrays(data):
        return arrays_dataset(*data)
    raise CMRError(
        "data must be the name of a dataset, a folder, a file, a dataset, or arrays of features "
        f"as (images, texts) or (images, texts, labels), not {shown(data)}"
    )


def is_arrays(data: object) -> bool:
    """Return whether the data is two or three arrays rather than datasets or their names."""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        return False
    return not any(isinstance(part, str | Path | PairDataset | FeatureDataset) for part in data)


def arrays_dataset(
    images: npt.ArrayLike,
    texts: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    split: str = "train",
) -> FeatureDataset:
    """Return a dataset of features; row i of each array belongs to pair i.

    Args:
        images: (N, Di) numbers.
        texts: (N, Dt) numbers.
        labels: See `label_column`. Default: no labels.
        split: Split of all pairs.

    Raises:
        DataFormatError: Shapes do not match, or values are not finite.
    """
    rows = {"images": feature_rows("images", images), "texts": feature_rows("texts", texts)}
    count = len(rows["images"])
    if len(rows["texts"]) != count:
        raise DataFormatError(
            f"row i of the images and of the texts belong together, but there are {count} and "
            f"{len(rows['texts'])}"
        )
    numbers, classes = label_column(np.full(count, -1) if labels is None else labels, count)
    return FeatureDataset(
        name=ARRAYS,
        protocol=ARRAYS,
        ids=tuple(map(str, range(count))),
        labels=numbers,
        classes=classes,
        splits=np.full(count, split),
        image_features=rows["images"],
        text_features=rows["texts"],
    )


def as_list(data: DataLike | Sequence[DataLike]) -> list[Any]:
    """Return one or several datasets as a list."""
    if isinstance(data, str | Path | PairDataset | FeatureDataset) or is_arrays(data):
        return [data]
    if not isinstance(data, Sequence) or not data:
        raise CMRError(
            f"training takes a dataset, a folder, arrays or a list of datasets, not {shown(data)}"
        )
    return list(data)
