"""safetensors files written block by block and read without a copy.

The format (https://huggingface.co/docs/safetensors): eight bytes with the length of a JSON header,
the header, and the arrays' bytes one after the other. The library's `save` wants everything in
memory twice, its `load_file` copies, and `safe_open` does not tell where in the file an array lies,
so that NumPy could map it; a gallery can be larger than memory.
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
"""What a header of the wrong kinds of values can raise."""


def write_tensors(path: Path, arrays: Mapping[str, Sequence[npt.NDArray[Any]]]) -> None:
    """Writes named arrays; each is given as blocks, which are joined along the first axis."""
    header: dict[str, Any] = {}
    offset = 0
    # The widest types first, so that every array starts where its type may.
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
    """The arrays of a file, read-only, whose pages are read from the disk when they are used.

    Raises:
        ModelFormatError: not a safetensors file, or not whole.
        OSError: it cannot be read.
    """
    whole = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        header.pop("__metadata__", None)
        arrays = {name: _map(path, 8 + length, whole, entry) for name, entry in header.items()}
    except _DAMAGED as error:
        raise ModelFormatError(f"{path} is damaged: {error}") from error
    if 8 + length + sum(array.nbytes for array in arrays.values()) != whole:
        raise ModelFormatError(f"{path} is damaged: its arrays do not fill it")
    return arrays


def _map(path: Path, start: int, whole: int, entry: dict[str, Any]) -> npt.NDArray[Any]:
    dtype, shape = _DTYPES[entry["dtype"]], tuple(int(size) for size in entry["shape"])
    first, last = entry["data_offsets"]
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or first < 0 or last - first != size or start + last > whole:
        raise ValueError("an array does not lie within the file")
    if not size:
        return np.empty(shape, dtype)
    # Picking rows of a memmap takes ten times as long as of the array that it is.
    return np.asarray(np.memmap(path, dtype, "r", start + first, shape))
