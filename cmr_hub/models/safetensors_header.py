"""The header of a safetensors file, read and checked before a byte of its tensors is."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from safetensors import SafetensorError, safe_open

from cmr_hub.errors import ModelFormatError

_DTYPES: Final = frozenset({"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "BOOL"})
_MAX_HEADER: Final = 1_000_000
_PICKLES: Final = (b"\x80", b"PK\x03\x04")  # a pickle, and the zip archive that torch makes of some


class TensorInfo(NamedTuple):
    """What the header says about one tensor."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorInfo]:
    """What the file holds, by name.

    The library checks that the header is whole, that every tensor is as long as its shape says, and
    that they fill the file without a gap; it maps the file and reads none of them.

    Raises:
        ModelFormatError: not a whole safetensors file (a renamed pickle is told so); a header that
            is too long; tensors of a type that no model has.
    """
    with path.open("rb") as file:
        start = file.read(8)
    length = int.from_bytes(start, "little")
    if _MAX_HEADER < length <= path.stat().st_size - 8:
        raise ModelFormatError(
            f"{path} has a header of {length:,} bytes, more than the {_MAX_HEADER:,} that a model "
            "needs"
        )
    try:
        with safe_open(path, framework="numpy") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            found = {
                name: TensorInfo(one.get_dtype(), tuple(one.get_shape()))
                for name, one in slices.items()
            }
    except (SafetensorError, OSError, ValueError) as error:
        if start.startswith(_PICKLES):
            raise ModelFormatError(
                f"{path} is a pickle by another name: it could run code, and is not read"
            ) from error
        raise ModelFormatError(f"{path} is not a whole safetensors file: {error}") from error
    for name, info in found.items():
        if info.dtype not in _DTYPES:
            raise ModelFormatError(f"{path}: {name} is of the type {info.dtype}, which is not read")
    return found
