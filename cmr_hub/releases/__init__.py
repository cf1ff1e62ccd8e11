"""Models that come with the package: each is a folder here, as `save_pretrained` writes it."""

from __future__ import annotations

from pathlib import Path

from cmr_hub.errors import UnknownNameError

RELEASES = ["default"]


def release_directory(name: str) -> Path:
    """Where the release lies. Raises UnknownNameError."""
    if name not in RELEASES:
        raise UnknownNameError("release", name, RELEASES)
    return Path(__file__).parent / name
