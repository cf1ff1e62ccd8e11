"""float16 on disk where it loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def to_half(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """float32 arrays as float16 where every value is one exactly, the others as they are.

    So what was rounded once, to be small, stays small whenever it is saved.
    """
    return {name: _exact_half(array) for name, array in arrays.items()}


def from_half(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Undoes `to_half`: float16 arrays as float32."""
    return {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in arrays.items()
    }


def rounded_to_half(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The nearest float16 values, as float32.

    Raises:
        ValueError: a value is beyond what float16 holds.
    """
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ValueError("values beyond ±65504 do not fit into float16")
    return rounded


def _exact_half(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else array
