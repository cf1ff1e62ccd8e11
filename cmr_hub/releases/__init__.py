"""Models that come with the package: each is a folder here, as `save_pretrained` writes it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from cmr_hub.encoders.packaged import EFFICIENTNET_LITE2, MINILM
from cmr_hub.errors import UnknownNameError

PHOTOS: Final = "photos"
SKETCH: Final = "sketch"
RELEASES: Final = (PHOTOS, SKETCH)
FORMER_NAMES: Final = {"default": SKETCH}
"""What galleries and scripts of earlier versions call them."""

logger = logging.getLogger(__name__)


def is_release(name: object) -> bool:
    """Whether it is the name of a release, or was one."""
    return name in RELEASES or name in FORMER_NAMES


def release_directory(name: str) -> Path:
    """Where the release lies. Raises UnknownNameError."""
    found = FORMER_NAMES.get(name, name)
    if found not in RELEASES:
        raise UnknownNameError("release", name, list(RELEASES))
    return Path(__file__).parent / found


def default_release() -> str:
    """What is loaded where no model is named: `photos`, or `sketch` where its encoders are missing.

    Their packages come with `pip install cmr-hub`; whoever leaves dependencies out may lack them.
    """
    missing = [package.name for package in (EFFICIENTNET_LITE2, MINILM) if not package.is_installed]
    if not missing:
        return PHOTOS
    logger.warning(
        "The model photos needs %s; until then sketch is used, which sees far less: pip install %s",
        " and ".join(missing),
        " ".join(missing),
    )
    return SKETCH
