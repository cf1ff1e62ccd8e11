"""Write safetensors files block by block, and memory-map them.

The format (https://huggingface.co/docs/safetensors) is eight bytes with the length of a JSON
header, the header, and the bytes of the arrays. A gallery can be larger than memory, but `save` of
the library needs all arrays in memory twice, `load_file` copies them, and `safe_open` does not
expose the file offsets that NumPy needs to map them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cmr_hub.errors import ModelFormatError

_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LONGEST_HEADER = 2**20
_DAMAGED = ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
"""Exceptions that an invalid header can cause."""


def write_tensors(path: Path, arrays: Mapping[str, Sequence[npt.NDArray[Any]]]) -> None:
    """Write named arrays. Each is a list of blocks, which are concatenated along the first axis."""
    header: dict[str, Any] = {}
    offset = 0
    # The widest types are first, so that every array is aligned.
    ordered = sorted(arrays.items(), key=lambda item: -item[1][0].dtype.itemsize)
    for name, blocks in ordered:
        shape = (sum(len(block) for block in blocks), *blocks[0].shape[1:])
        size = math.prod(shape) * blocks[0].dtype.itemsize
        header[name] = {
            "dtype": _NAMES[blocks[0].dtype.newbyteorder("<")],
            "shape": shape,
            "data_offsets": (offset, offset + size),
        }
        offset += size
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, blocks in ordered:
            dtype = _DTYPES[header[name]["dtype"]]
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=dtype).data)


def map_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the memory-mapped, read-only arrays of a file.

    Raises:
        ModelFormatError: the file is not a safetensors file, or is incomplete.
        OSError: the file cannot be read.
    """
    file_size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        header.pop("__metadata__", None)
        arrays = {name: _map(path, 8 + length, file_size, entry) for name, entry in header.items()}
    except _DAMAGED as error:
        raise ModelFormatError(f"{path} is damaged: {error}") from error
    if 8 + length + sum(array.nbytes for array in arrays.values()) != file_size:
        raise ModelFormatError(f"{path} is damaged: its arrays do not fill it")
    return arrays


def _map(path: Path, start: int, file_size: int, entry: dict[str, Any]) -> npt.NDArray[Any]:
    dtype, shape = _DTYPES[entry["dtype"]], tuple(int(size) for size in entry["shape"])
    first, last = entry["data_offsets"]
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or first < 0 or last - first != size or start + last > file_size:
        raise ValueError("an array is not within the file")
    if not size:
        return np.empty(shape, dtype)
    # As a plain array, because indexing the rows of a memmap takes ten times as long.
    return np.asarray(np.memmap(path, dtype, "r", start + first, shape))
