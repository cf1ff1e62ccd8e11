"""Lossless storage of float32 arrays as float16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def to_half(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Convert float32 arrays to float16 if all values are exactly representable.

    Arrays that were rounded to float16 once therefore stay small each time they are saved.
    """
    halves = dict(arrays)
    for name, array in arrays.items():
        if array.dtype == np.float32:
            with np.errstate(over="ignore"):
                half = array.astype(np.float16)
            if np.array_equal(half.astype(np.float32), array):
                halves[name] = half
    return halves


def from_half(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Convert float16 arrays back to float32."""
    return {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in arrays.items()
    }


def rounded_to_half(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Round to the nearest float16 values, returned as float32.

    Raises:
        ValueError: a value is out of the range of float16.
    """
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ValueError("values beyond ±65504 do not fit into float16")
    return rounded
