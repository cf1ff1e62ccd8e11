"""Datasets that are published as feature rows only."""

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


def feature_rows(name: str, given: npt.ArrayLike) -> FloatArray:
    """Return (N, D) features as float32. Raises DataFormatError for anything else."""
    try:
        rows = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataFormatError(f"{name} must be an array of numbers: {shown(given)}") from error
    if rows.ndim != 2 or 0 in rows.shape:
        raise DataFormatError(f"{name} must be (pairs, features), not of shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise DataFormatError(f"the features of the {name} have values that are not finite")
    return rows


def label_column(given: Any, count: int) -> tuple[LabelArray, tuple[str, ...]]:
    """Return the labels of `count` items as a column of `Columns`, and the classes.

    Args:
        given: One number or name of a class for each item, where None, NaN, an empty name and a
            number below zero mean no label; a list of them for each item; or (N, C) rows of 0 and
            1. Rows with exactly one class each become class numbers.
        count: Number of items.

    Raises:
        DataFormatError: The labels are of another form.
    """
    if _is_nested(given):
        given, names = _rows_of_names(given)
    else:
        given, names = np.asarray(given), None
    if given.ndim == 2 and given.size == count and 1 in given.shape:
        given = given.ravel()
    if given.ndim == 2 and given.dtype.kind in "fiub" and np.isin(given, (0, 1)).all():
        if given.shape[0] != count:
            raise DataFormatError(f"there are labels of {len(given)} pairs, not of {count}")
        classes = tuple(map(str, range(given.shape[1]))) if names is None else names
        if (given.sum(axis=1) == 1).all():
            return given.argmax(axis=1).astype(np.int64), classes
        return given.astype(np.float32), classes
    if given.dtype.kind == "f" and not (given % 1).any(where=~np.isnan(given)):
        # As MATLAB stores whole numbers, and pandas those of which some are missing.
        given = np.where(np.isnan(given), -1, given).astype(np.int64)
    if given.shape != (count,) or given.dtype.kind not in "iuUSbO":
        raise DataFormatError(
            f"labels are {count} numbers or names of classes, one for each pair, or {count} rows "
            f"of 0 and 1, not {given.dtype} of shape {given.shape}"
        )
    if given.dtype.kind == "S":
        given = np.char.decode(given, "utf-8", "replace")
    known = np.array([not _is_missing(label) for label in given.tolist()], dtype=bool)
    numbers = np.full(count, -1, dtype=np.int64)
    found, numbers[known] = np.unique(given[known].astype(str), return_inverse=True)
    return numbers, tuple(map(str, found))


def _is_missing(label: object) -> bool:
    if isinstance(label, int | float):
        return not label >= 0  # also NaN
    return label is None or not str(label).strip()


def text_matrix(path: Path) -> FloatArray:
    """Return the (N, D) numbers of a text file with one row a line.

    Raises:
        DataFormatError: The file is not read, or is no such table.
    """
    try:
        check_file(path, _MOST_BYTES)
        with path.open("rb") as file:
            width = len(file.readline().split())
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # text that is no number
            numbers = np.fromfile(path, dtype=np.float32, sep=" ")
        return numbers.reshape(-1, width)
    except (OSError, ValueError, ZeroDivisionError, DeprecationWarning) as error:
        raise DataFormatError(f"{path} is not a table of numbers: {error}") from error


def _is_nested(given: Any) -> bool:
    """Return whether each item has a list of labels, which may be of any length."""
    if isinstance(given, np.ndarray) and (given.dtype.kind != "O" or given.ndim != 1):
        return False
    is_column = isinstance(given, list | tuple | np.ndarray) and len(given) > 0
    return is_column and not any(isinstance(one, str) or np.isscalar(one) for one in given)


def _rows_of_names(given: Any) -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    lists = [list(one) for one in given]
    if all(len(one) == len(lists[0]) for one in lists) and not any(
        isinstance(name, str) for one in lists for name in one
    ):
        return np.array(lists), None
    classes = sorted({name for one in lists for name in one})
    rows = np.array([[name in one for name in classes] for one in lists], dtype=np.float32)
    return rows, tuple(map(str, classes))
