"""Base class of datasets: columns of equal length, divided into splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from cmr_hub.datasets.protocols import SPLITS, SplitArray
from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import DataFormatError, UnknownNameError
from cmr_hub.metrics.relevance import is_labelled
from cmr_hub.types import BoolArray, IntArray, LabelArray


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Columns:
    """Base class of datasets: N items as columns. Immutable: methods return new datasets.

    Attributes:
        name: Registered name of the dataset.
        protocol: Protocol of the splits.
        ids: N different names of items.
        labels: (N,) int64 indices into `classes`; -1 means no label. For several labels per item,
            (N, classes) float32 rows with 1 for every class of an item and otherwise 0.
        classes: Names of the classes.
        splits: (N,) strings: "train", "validation" or "test".
        report: Problems found by the reader.

    Raises:
        DataFormatError: Columns differ in length, ids are repeated, or a value is out of range.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("ids", "labels", "splits")

    name: str
    protocol: str
    ids: tuple[str, ...]
    labels: LabelArray
    classes: tuple[str, ...]
    splits: SplitArray
    report: ReadReport = field(default_factory=ReadReport)

    def __post_init__(self) -> None:
        lengths = {column: len(getattr(self, column)) for column in self.COLUMNS}
        if len(set(lengths.values())) > 1:
            raise DataFormatError(f"{self.name}: columns of different length: {lengths}")
        if len(set(self.ids)) < len(self.ids):
            raise DataFormatError(f"{self.name}: the ids are not all different")
        self._check_labels()
        if not np.isin(self.splits, SPLITS).all():
            raise DataFormatError(f"{self.name}: a split must be one of {', '.join(SPLITS)}")

    def _check_labels(self) -> None:
        labels, count = self.labels, len(self.classes)
        if labels.ndim == 2:
            if labels.dtype != np.float32 or labels.shape[1] != count:
                raise DataFormatError(
                    f"{self.name}: labels must be float32 rows of {count} classes"
                )
            if not ((labels == 0) | (labels == 1)).all():
                raise DataFormatError(f"{self.name}: rows of labels must contain only 0 and 1")
        elif labels.dtype != np.int64 or labels.ndim != 1:
            raise DataFormatError(f"{self.name}: labels must be one column of int64")
        elif len(self) and not (labels.min() >= -1 and labels.max() < count):
            raise DataFormatError(
                f"{self.name}: labels must lie in -1..{count - 1}, not in "
                f"{labels.min()}..{labels.max()}"
            )

    def __repr__(self) -> str:
        parts = [repr(self.name), f"protocol={self.protocol!r}", f"{len(self):,} items"]
        if self.classes:
            parts.append(f"{len(self.classes)} classes")
        parts += [
            f"{split} {np.count_nonzero(self.splits == split):,}" for split in self.split_names
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def split_names(self) -> tuple[str, ...]:
        """Splits that have items, in the order train, validation, test."""
        return tuple(split for split in SPLITS if (self.splits == split).any())

    def split(self, name: str) -> Self:
        """Return the items of one split. Raises UnknownNameError if there are none."""
        if name not in self.split_names:
            kind = f"split of {self.name} {self.protocol}"
            raise UnknownNameError(kind, name, list(self.split_names))
        return self.subset(np.flatnonzero(self.splits == name))

    def subset(self, indices: IntArray | npt.NDArray[np.bool_] | Sequence[int]) -> Self:
        """Return the items at these positions, in this order, or those of a boolean mask."""
        positions = indices if isinstance(indices, np.ndarray) else list(indices)
        rows = np.arange(len(self))[positions]
        return replace(self, **{name: _take(getattr(self, name), rows) for name in self.COLUMNS})

    @property
    def labelled(self) -> BoolArray:
        """(N,) mask of the items with a label."""
        return is_labelled(self.labels)

    @property
    def single_labels(self) -> IntArray:
        """(N,) int64 class of each item that has exactly one; otherwise -1."""
        if self.labels.ndim == 2:
            return np.where(self.labels.sum(axis=1) == 1, self.labels.argmax(axis=1), -1)
        return self.labels.astype(np.int64)

    def label_name(self, index: int) -> str | None:
        """Return the class of an item, its classes separated by commas, or None without a label."""
        if self.labels.ndim == 2:
            names = [self.classes[place] for place in np.flatnonzero(self.labels[index])]
            return ", ".join(names) or None
        label = int(self.labels[index])
        return None if label < 0 else self.classes[label]


def _take(column: Any, rows: IntArray) -> Any:
    if isinstance(column, np.ndarray):
        return column[rows]
    return tuple(column[row] for row in rows)
