"""Read and check the header of a safetensors file before its tensors are read."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from safetensors import SafetensorError, safe_open

from cmr_hub.errors import ModelFormatError

_DTYPES: Final = frozenset({"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "BOOL"})
_MAX_HEADER: Final = 1_000_000
_PICKLES: Final = (b"\x80", b"PK\x03\x04")  # a pickle, and torch's zip archive with a pickle


class TensorInfo(NamedTuple):
    """Type and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Return the types and shapes of the tensors, by name.

    safetensors checks that the header is complete, that the size of every tensor matches its shape,
    and that tensors fill the file without gaps, without reading the tensors.

    Raises:
        ModelFormatError: the file is not a complete safetensors file (with a separate message for
            a pickle), its header is too long, or a tensor has an unsupported type.
    """
    with path.open("rb") as file:
        start = file.read(8)
    length = int.from_bytes(start, "little")
    if _MAX_HEADER < length <= path.stat().st_size - 8:
        raise ModelFormatError(
            f"{path} has a header of {length:,} bytes, more than the {_MAX_HEADER:,} allowed for "
            "a model"
        )
    try:
        with safe_open(path, framework="numpy") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            header = {
                name: TensorInfo(tensor.get_dtype(), tuple(tensor.get_shape()))
                for name, tensor in slices.items()
            }
    except (SafetensorError, OSError, ValueError) as error:
        if start.startswith(_PICKLES):
            raise ModelFormatError(
                f"{path} is a renamed pickle, which could run code and is not read"
            ) from error
        raise ModelFormatError(f"{path} is not a valid safetensors file: {error}") from error
    for name, info in header.items():
        if info.dtype not in _DTYPES:
            raise ModelFormatError(f"{path}: {name} has the unsupported type {info.dtype}")
    return header
