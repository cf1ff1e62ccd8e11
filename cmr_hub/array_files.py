"""Cache arrays in files with a checksum; a damaged file counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cmr_hub.atomic import atomic_file
from cmr_hub.checksums import sha256_of_arrays

_CHECKSUM = "sha256"


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays with their checksum. Raises StorageError."""
    # safetensors ignores strides, so a transposed view would be read back wrongly.
    compact = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_file(path) as file:
        file.write_bytes(save(compact, {_CHECKSUM: sha256_of_arrays(compact)}))


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays in a file of `save_arrays`, or None if it is missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum = (file.metadata() or {}).get(_CHECKSUM)
    except (OSError, SafetensorError, TypeError, ValueError):
        return None
    return arrays if sha256_of_arrays(arrays) == checksum else None
