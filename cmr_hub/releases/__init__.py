"""Models bundled with the package; each is a folder written by `save_pretrained`."""

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
"""Names that earlier versions used."""
PHOTOGRAPHS: Final = Path(__file__).parent / "photos" / "pictures" / "photographs"
"""Freely licensed photographs, with `credits.jsonl`."""

_ENCODERS: Final = (EFFICIENTNET_LITE2, MINILM)
_LIBRARIES: Final = ("timm", "transformers")


def default_release() -> str:
    """Return `photos`, or `sketch` with a warning if the encoders of `photos` are missing."""
    missing = [package.name for package in _ENCODERS if not package.is_installed]
    missing += [name for name in _LIBRARIES if find_spec(name) is None]
    if not missing:
        return PHOTOS
    logger.warning(
        "using the model %s, which is much worse on photographs than %s; to use the latter: "
        "pip install %s",
        SKETCH,
        PHOTOS,
        " ".join(missing),
    )
    return SKETCH


def is_release(name: object) -> bool:
    """Return whether a name is a current or former name of a release."""
    return name in RELEASES or name in FORMER_NAMES


def release_directory(name: str) -> Path:
    """Return the directory of a release. Raises UnknownNameError."""
    current = FORMER_NAMES.get(name, name)
    if current not in RELEASES:
        raise UnknownNameError("release", name, list(RELEASES))
    return Path(__file__).parent / current
