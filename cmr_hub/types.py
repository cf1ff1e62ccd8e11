"""Type aliases used by all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

FloatArray: TypeAlias = "npt.NDArray[np.float32]"
IntArray: TypeAlias = "npt.NDArray[np.int64]"
LabelArray: TypeAlias = "npt.NDArray[np.int64] | npt.NDArray[np.float32]"
"""(N,) classes, -1 for none; or (N, C) rows of 0 and 1, for several labels per item."""
BoolArray: TypeAlias = "npt.NDArray[np.bool_]"
Arrays: TypeAlias = Mapping[str, "npt.NDArray[Any]"]
"""Named arrays of a batch; the first dimension of each is the items."""

ImageSource: TypeAlias = Union[str, Path, "Image.Image", bytes, "npt.NDArray[np.uint8]"]
"""A path to a picture, an open picture, the bytes of a file, or pixels: a uint8 array (H, W, 3) of
red, green and blue, or (H, W) of grey."""

OnError: TypeAlias = Literal["raise", "skip", "none"]
"""Handling of a picture that cannot be read: raise an error, omit its row, or return NaN."""

Document: TypeAlias = Sequence[str]
"""All the sentences of one item. A query is a document of one sentence."""

JSONObject: TypeAlias = dict[str, Any]

Modality: TypeAlias = Literal["image", "text"]
