"""Read numeric matrices from untrusted MATLAB files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmr_hub.errors import DataFormatError
from cmr_hub.outside import read_bytes

_PIECE = 2**20
_COMPRESSED = 15
_KINDS = (
    *("double", "single", "logical"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


class MatlabFile:
    """A MATLAB file up to version 7.2, of which only the requested matrices are read.

    Args:
        path: Path of the file.
        limit: Maximum bytes of the file, both compressed and uncompressed.

    Attributes:
        shapes: Shape of each variable by name.

    Raises:
        DataFormatError: The file has another format, is too large, or contains a variable twice.
    """

    def __init__(self, path: Path, limit: int) -> None:
        from scipy.io import whosmat

        self._path = path
        try:
            self._data = read_bytes(path, limit)
            _refuse_bomb(self._data, limit)
            listed = whosmat(BytesIO(self._data))
        except Exception as error:  # scipy raises nearly every exception on damaged input
            raise DataFormatError(f"cannot read {path} as a MATLAB file: {error}") from error
        self.shapes: dict[str, tuple[int, ...]] = {name: shape for name, shape, _ in listed}
        self._kinds = {name: kind for name, _, kind in listed}
        if len(self.shapes) < len(listed):
            raise DataFormatError(f"{path} contains a matrix twice: save each one only once")

    def check(self, names: Sequence[str]) -> None:
        """Raise DataFormatError unless these are matrices of real numbers in the file."""
        missing = [name for name in names if name not in self.shapes]
        if missing:
            raise DataFormatError(
                f"{self._path} has no {', '.join(missing)}; it has {', '.join(self.shapes)}"
            )
        # Cell arrays may be nested so deeply that reading them overflows the stack.
        for name in names:
            if self._kinds[name] not in _KINDS:
                raise DataFormatError(
                    f"{self._path}: {name} is not a matrix of real numbers but {self._kinds[name]}"
                )

    def load(self, names: Sequence[str]) -> list[npt.NDArray[np.generic]]:
        """Return matrices by name. Raises DataFormatError as `check` does, or if one is damaged."""
        from scipy.io import loadmat

        self.check(names)
        try:
            arrays = loadmat(BytesIO(self._data), variable_names=names)
        except Exception as error:  # as above
            raise DataFormatError(f"cannot read {self._path} as a MATLAB file: {error}") from error
        for name in names:
            array = arrays.get(name)
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
                raise DataFormatError(f"{self._path}: {name} is not a matrix of real numbers")
        return [arrays[name] for name in names]


def _refuse_bomb(data: bytes, limit: int) -> None:
    """Raise ValueError if the compressed parts of the file unpack to too many bytes."""
    order = "<" if data[126:128] == b"IM" else ">"
    at, unpacked = 128, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}2I", data, at)
        at += 8
        if kind == _COMPRESSED:
            for size in _unpacked_sizes(data[at : at + length]):
                unpacked += size
                if unpacked > limit:
                    raise ValueError(f"it unpacks to more than {limit:,} bytes")
        at += length


def _unpacked_sizes(data: bytes) -> Iterator[int]:
    unpack = zlib.decompressobj()
    try:
        while data and not unpack.eof:
            yield len(unpack.decompress(data, _PIECE))
            data = unpack.unconsumed_tail
    except zlib.error:
        return  # reading the file reports it
