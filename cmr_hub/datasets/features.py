"""Datasets of precomputed features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cmr_hub.datasets.columns import Columns
from cmr_hub.errors import DataFormatError, shown
from cmr_hub.outside import check_file
from cmr_hub.types import FloatArray, LabelArray

_MOST_BYTES = 2**34


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FeatureDataset(Columns):
    """N items, each an image feature row and the text feature row of its pair. See `Columns`.

    Attributes:
        image_features: (N, Di) float32.
        text_features: (N, Dt) float32.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (*Columns.COLUMNS, "image_features", "text_features")

    image_features: FloatArray
    text_features: FloatArray


def feature_rows(name: str, features: npt.ArrayLike) -> FloatArray:
    """Return (N, D) features as float32. Raises DataFormatError for anything else."""
    try:
        rows = np.asarray(features, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataFormatError(f"{name} must be an array of numbers: {shown(features)}") from error
    if rows.ndim != 2 or 0 in rows.shape:
        raise DataFormatError(f"{name} must be (pairs, features), not of shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise DataFormatError(f"the features of the {name} have values that are not finite")
    return rows


def label_column(labels: Any, count: int) -> tuple[LabelArray, tuple[str, ...]]:
    """Return the labels of `count` items as a column of `Columns`, and the classes.

    Args:
        labels: A class number or name for each item, where None, NaN, an empty name and a number
            below zero mean no label; a list of them for each item; or (N, C) rows of 0 and 1. If
            every row has exactly one class, they become class numbers.
        count: Number of items.

    Raises:
        DataFormatError: The labels have another form.
    """
    if _is_nested(labels):
        labels, names = _rows_of_names(labels)
    else:
        labels, names = np.asarray(labels), None
    if labels.ndim == 2 and labels.size == count and 1 in labels.shape:
        labels = labels.ravel()
    if labels.ndim == 2 and labels.dtype.kind in "fiub" and np.isin(labels, (0, 1)).all():
        if labels.shape[0] != count:
            raise DataFormatError(f"there are labels of {len(labels)} pairs, not of {count}")
        classes = tuple(map(str, range(labels.shape[1]))) if names is None else names
        if (labels.sum(axis=1) == 1).all():
            return labels.argmax(axis=1).astype(np.int64), classes
        return labels.astype(np.float32), classes
    if labels.dtype.kind == "f" and not (labels % 1).any(where=~np.isnan(labels)):
        # MATLAB stores whole numbers as floats, and so does pandas if some are missing.
        labels = np.where(np.isnan(labels), -1, labels).astype(np.int64)
    if labels.shape != (count,) or labels.dtype.kind not in "iuUSbO":
        raise DataFormatError(
            f"labels must be {count} class numbers or names, one for each pair, or {count} rows "
            f"of 0 and 1, not {labels.dtype} of shape {labels.shape}"
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    known = np.array([not _is_missing(label) for label in labels.tolist()], dtype=bool)
    numbers = np.full(count, -1, dtype=np.int64)
    unique, numbers[known] = np.unique(labels[known].astype(str), return_inverse=True)
    return numbers, tuple(map(str, unique))


def _is_missing(label: object) -> bool:
    if isinstance(label, int | float):
        return not label >= 0  # also NaN
    return label is None or not str(label).strip()


def text_matrix(path: Path) -> FloatArray:
    """Return the (N, D) numbers of a text file with one row per line.

    Raises:
        DataFormatError: The file cannot be read, or is not such a table.
    """
    try:
        check_file(path, _MOST_BYTES)
        with path.open("rb") as file:
            width = len(file.readline().split())
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # raised for text in the file
            numbers = np.fromfile(path, dtype=np.float32, sep=" ")
        return numbers.reshape(-1, width)
    except (OSError, ValueError, ZeroDivisionError, DeprecationWarning) as error:
        raise DataFormatError(f"{path} is not a table of numbers: {error}") from error


def _is_nested(labels: Any) -> bool:
    """Return whether each item has a list of labels of any length."""
    if isinstance(labels, np.ndarray) and (labels.dtype.kind != "O" or labels.ndim != 1):
        return False
    is_column = isinstance(labels, list | tuple | np.ndarray) and len(labels) > 0
    return is_column and not any(isinstance(one, str) or np.isscalar(one) for one in labels)


def _rows_of_names(labels: Any) -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    lists = [list(one) for one in labels]
    if all(len(one) == len(lists[0]) for one in lists) and not any(
        isinstance(name, str) for one in lists for name in one
    ):
        return np.array(lists), None
    classes = sorted({name for one in lists for name in one})
    rows = np.array([[name in one for name in classes] for one in lists], dtype=np.float32)
    return rows, tuple(map(str, classes))
