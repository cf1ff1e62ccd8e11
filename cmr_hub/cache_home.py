"""Where the package keeps what it can make again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home() -> Path | None:
    """The person's home; None in a container whose user has none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def default_cache_home() -> Path:
    """`$CMR_CACHE_HOME`, `~/.cache/cmr-hub` or, without a home, a folder for temporary files."""
    configured = os.environ.get("CMR_CACHE_HOME")
    if configured:
        return Path(configured)
    own = home()
    return Path(tempfile.gettempdir(), "cmr-hub") if own is None else own / ".cache" / "cmr-hub"
