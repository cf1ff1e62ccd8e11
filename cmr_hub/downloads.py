"""Permission to download repositories that a file refers to.

A model or a gallery can name other repositories, such as the encoder that it was trained on or the
model that computed its vectors. If they were downloaded automatically, the author of the file would
decide which servers this machine contacts. Therefore they are only looked up in the caches, unless
the user allows downloads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HOW_TO_ALLOW: Final = "allow it with --allow-download, or load(..., allow_download=True)"

_allowed: ContextVar[bool] = ContextVar("cmr_hub_downloads_allowed", default=True)


def downloads_allowed() -> bool:
    """Return whether repositories named in files may be downloaded."""
    return _allowed.get()


@contextmanager
def downloads(*, allowed: bool) -> Iterator[None]:
    """Allow or forbid downloads of repositories named in files, inside the context."""
    token = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(token)
