"""Default directory of caches, which the package can recreate."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home() -> Path | None:
    """Return the user's home directory, or None if there is none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def default_cache_home() -> Path:
    """Return `$CMR_CACHE_HOME`, `~/.cache/cmr-hub` or, without a home, a temporary directory."""
    configured = os.environ.get("CMR_CACHE_HOME")
    if configured:
        return Path(configured)
    user = home()
    return Path(tempfile.gettempdir(), "cmr-hub") if user is None else user / ".cache" / "cmr-hub"
