"""Unit vectors of one modality, for all or some rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cmr_hub.errors import ModelFormatError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, IntArray

NORM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class VectorColumn:
    """Vectors and their rows in the table.

    Attributes:
        matrix: (n, d) float32 unit vectors.
        rows: (n,) int64, increasing; other rows of the table have no vector.
    """

    matrix: FloatArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def full(cls, matrix: FloatArray) -> Self:
        """Create a column with a vector for every row."""
        return cls(matrix, np.arange(len(matrix)))

    def moved(self, start: int) -> VectorColumn:
        """Return the same vectors with row numbers increased by `start`."""
        return VectorColumn(self.matrix, self.rows + start)

    def take(self, rows: IntArray) -> VectorColumn:
        """Return the vectors of these rows of the table, renumbered 0, 1, ..."""
        positions = np.searchsorted(self.rows, rows)
        positions[positions == len(self.rows)] = 0
        exist = self.rows[positions] == rows if len(self.rows) else np.zeros(len(rows), dtype=bool)
        return VectorColumn(self.matrix[positions[exist]], np.flatnonzero(exist))


def checked_vectors(
    name: str, given: npt.ArrayLike | VectorColumn, count: int, *, lengths: bool = True
) -> VectorColumn:
    """Validate the vectors of a table of `count` rows and convert them to float32.

    Raises:
        ModelFormatError: the shape is wrong, rows do not exist, or vectors are not of length 1.
    """
    rows = given.rows if isinstance(given, VectorColumn) else None
    matrix = given.matrix if isinstance(given, VectorColumn) else given
    try:
        array = np.ascontiguousarray(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"the {name} vectors are not numbers: {error}") from error
    if array.ndim != 2:
        raise ModelFormatError(
            f"{name} vectors must have the shape (items, dimensions), not {array.shape}"
        )
    if rows is None:
        rows = np.arange(count)
    if len(array) != len(rows) or len(rows) > count:
        raise ModelFormatError(
            f"{len(array)} {name} vectors for {min(len(rows), count)} items: give one each"
        )
    if len(rows) and (rows[0] < 0 or rows[-1] >= count or (np.diff(rows) <= 0).any()):
        raise ModelFormatError(
            f"the rows of the {name} vectors are not increasing numbers below {count}"
        )
    if lengths:
        refuse_other_lengths(name, array)
    return VectorColumn(array, np.asarray(rows, dtype=np.int64))


def refuse_other_lengths(name: str, matrix: FloatArray) -> None:
    """Raise ModelFormatError unless all vectors are finite and of length 1."""
    lengths = np.sqrt(np.einsum("nd,nd->n", matrix, matrix))
    wrong = ~(np.abs(lengths - 1) <= NORM_TOLERANCE)  # also true for NaN
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ModelFormatError(
            f"{np.count_nonzero(wrong)} of {len(matrix)} {name} vectors do not have length 1; the "
            f"first is row {row}, with length {lengths[row]:.4g}"
        )
