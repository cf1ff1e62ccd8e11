"""Whether a name that was found inside a file may be looked up on another machine.

A model or a gallery can name other repositories: the encoder it was trained on, the model that made
its vectors. Whoever wrote it would decide whom this machine asks. So such a name is only looked for
in the caches, unless the user has allowed more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HOW_TO_ALLOW: Final = "allow it with --allow-download, or load(..., allow_download=True)"

_allowed: ContextVar[bool] = ContextVar("cmr_hub_downloads_allowed", default=True)


def downloads_allowed() -> bool:
    """Whether what is read here may fetch what it names."""
    return _allowed.get()


@contextmanager
def downloads(*, allowed: bool) -> Iterator[None]:
    """Inside, names are looked up in the caches only, or anywhere."""
    token = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(token)
