"""Models that come with the package: each is a folder here, as `save_pretrained` writes it."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cmr_hub.encoders.packaged import EFFICIENTNET_LITE2, MINILM
from cmr_hub.errors import UnknownNameError

logger = logging.getLogger(__name__)

PHOTOS: Final = "photos"
SKETCH: Final = "sketch"
RELEASES: Final = (PHOTOS, SKETCH)
FORMER_NAMES: Final = {"default": SKETCH}
"""What galleries and scripts of earlier versions call them."""
PHOTOGRAPHS: Final = Path(__file__).parent / "photos" / "pictures" / "photographs"
"""Photographs that may be passed on, with `credits.jsonl`."""


_ENCODERS: Final = (EFFICIENTNET_LITE2, MINILM)
_LIBRARIES: Final = ("timm", "transformers")


def default_release() -> str:
    """`photos`, or `sketch` with a warning where the encoders of `photos` are not installed."""
    missing = [package.name for package in _ENCODERS if not package.is_installed]
    missing += [name for name in _LIBRARIES if find_spec(name) is None]
    if not missing:
        return PHOTOS
    logger.warning(
        "taking the model %s, which finds far less in photographs than %s; for that: "
        "pip install %s",
        SKETCH,
        PHOTOS,
        " ".join(missing),
    )
    return SKETCH


def is_release(name: object) -> bool:
    """Whether it is the name of a release, or was one."""
    return name in RELEASES or name in FORMER_NAMES


def release_directory(name: str) -> Path:
    """Where the release lies. Raises UnknownNameError."""
    found = FORMER_NAMES.get(name, name)
    if found not in RELEASES:
        raise UnknownNameError("release", name, list(RELEASES))
    return Path(__file__).parent / found
