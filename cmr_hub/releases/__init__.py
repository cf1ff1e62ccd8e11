"""Models that come with the package: each is a folder here, as `save_pretrained` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cmr_hub.errors import UnknownNameError

SKETCH: Final = "sketch"
RELEASES: Final = (SKETCH,)
FORMER_NAMES: Final = {"default": SKETCH}
"""What galleries and scripts of earlier versions call them."""
PHOTOGRAPHS: Final = Path(__file__).parent / "photos" / "pictures" / "photographs"
"""Photographs that may be passed on, with `credits.jsonl`."""


def is_release(name: object) -> bool:
    """Whether it is the name of a release, or was one."""
    return name in RELEASES or name in FORMER_NAMES


def release_directory(name: str) -> Path:
    """Where the release lies. Raises UnknownNameError."""
    found = FORMER_NAMES.get(name, name)
    if found not in RELEASES:
        raise UnknownNameError("release", name, list(RELEASES))
    return Path(__file__).parent / found
