"""Read the text in pictures with RapidOCR, whose package includes the models."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from cmr_hub.encoders.optional import optional_import
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    import numpy.typing as npt

ENOUGH: Final = 1_200
"""Shorter side, in pixels, at which a picture is decoded for reading text; see `read_image`."""
_LONGEST_SIDE: Final = 1_600
_DETECTION_SIDE: Final = 960
"""Longer side for detecting lines, as in PaddleOCR. This halves the time, and letters of 12 pixels
are still found. Words are read at the full size."""
_LEAST_SIDE: Final = 12
"""Minimum of the shorter side of a picture with text. The time of reading grows with the width."""
_MOST_LINES: Final = 300
_MOST_LETTERS: Final = 4_000
_PARTS: Final = ("Det", "Cls", "Rec")


def text_of(picture: Image.Image) -> str:
    """Return the text in an RGB picture, at most 4,000 characters; "" if there is none.

    Raises an exception of RapidOCR or ONNX Runtime if reading fails.
    """
    small = picture
    if max(picture.size) > _LONGEST_SIDE:
        small = picture.copy()
        small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    if min(small.size) < _LEAST_SIDE:
        return ""
    pixels: npt.NDArray[np.uint8] = np.ascontiguousarray(np.asarray(small)[:, :, ::-1])
    lines = reader()(pixels).txts or ()
    # Replace full-width letters and ligatures, so that searches find the words.
    text = unicodedata.normalize("NFKC", " ".join(lines))
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(clean.split())[:_MOST_LETTERS]


@cache
def reader() -> Any:
    """Return RapidOCR with one thread, because every decoding process has an instance.

    Raises:
        CMRError: RapidOCR or its models are not installed. Nothing is downloaded.
    """
    rapidocr = optional_import("rapidocr", "reading text in pictures", "ocr")
    models = Path(rapidocr.__file__).parent / "models"
    files = {name: next(models.glob(f"*{name.lower()}*.onnx"), None) for name in _PARTS}
    if None in files.values():
        raise CMRError("rapidocr lacks its models: pip install --force-reinstall rapidocr")
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.limit_type": "max",
            "Det.limit_side_len": _DETECTION_SIDE,
            "Det.max_candidates": _MOST_LINES,
            **{f"{name}.model_path": str(file) for name, file in files.items()},
        }
    )
