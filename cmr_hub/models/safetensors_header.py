"""The header of a safetensors file, read and checked before a byte of its tensors is.

The file: eight bytes, the header's length as a little-endian integer; the header, a JSON object
that gives each tensor's dtype, shape and place; and the tensors' bytes, without a gap.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cmr_hub.errors import ModelFormatError

Dtype: TypeAlias = Literal["F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "BOOL"]
BYTES: Final[dict[Dtype, int]] = {
    **{"F16": 2, "F32": 4, "F64": 8, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U8": 1, "BOOL": 1}
}
_MAX_HEADER: Final = 1_000_000
_PICKLES: Final = (b"\x80", b"PK\x03\x04")  # a pickle, and the zip archive that torch makes of some

Count = Annotated[int, Field(ge=0, lt=2**63)]


class TensorInfo(BaseModel):
    """What the header says about one tensor."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dtype: Dtype
    shape: Annotated[list[Count], Field(max_length=8)]
    data_offsets: tuple[Count, Count]


_HEADER: Final = TypeAdapter(dict[str, TensorInfo])


def read_header(path: Path) -> dict[str, TensorInfo]:
    """What the file holds, by name.

    Raises:
        ModelFormatError: not safetensors (a renamed pickle is told so); a header that is cut, too
            long or not the JSON it must be; shapes and places that do not fit each other or the
            size of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if size < 8 or length > size - 8:
            if start.startswith(_PICKLES):
                raise ModelFormatError(
                    f"{path} is a pickle by another name: it could run code, and is not read"
                )
            raise ModelFormatError(
                f"{path} is not a whole safetensors file: its header claims {length:,} bytes, "
                f"the file has {size:,}"
            )
        if length > _MAX_HEADER:
            raise ModelFormatError(
                f"{path} has a header of {length:,} bytes, more than the {_MAX_HEADER:,} that a "
                "model needs"
            )
        header = file.read(length)
    tensors = _parsed(path, header)
    _check_places(path, tensors, size - 8 - length)
    return tensors


def _parsed(path: Path, header: bytes) -> dict[str, TensorInfo]:
    try:
        content = json.loads(header, object_pairs_hook=_without_repeats(path))
        if isinstance(content, dict):
            content.pop("__metadata__", None)
        text = json.dumps(content)
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} has a header that is not JSON: {error}") from error
    try:
        return _HEADER.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelFormatError(f"{path} has a wrong header: {place}: {first['msg']}") from error


def _without_repeats(path: Path) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    def checked(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ModelFormatError(f"{path} has a wrong header: a name stands in it twice")
        return found

    return checked


def _check_places(path: Path, tensors: dict[str, TensorInfo], room: int) -> None:
    """Every tensor as long as its shape says, one after the other, to the end of the file."""
    at = 0
    for name, info in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        begin, end = info.data_offsets
        needed = math.prod(info.shape) * BYTES[info.dtype]
        if end - begin != needed:
            raise ModelFormatError(
                f"{path}: {name} of shape {tuple(info.shape)} needs {needed:,} bytes, and the "
                f"header gives it {end - begin:,}"
            )
        if begin != at:
            raise ModelFormatError(f"{path}: {name} overlaps another tensor or leaves a gap")
        at = end
    if at != room:
        raise ModelFormatError(
            f"{path} is cut or has something behind its tensors: they need {at:,} bytes, "
            f"there are {room:,}"
        )
