"""Where the package keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_home() -> Path:
    """`$CMR_CACHE_HOME`, or `~/.cache/cmr-hub`."""
    configured = os.environ.get("CMR_CACHE_HOME")
    return Path(configured) if configured else Path.home() / ".cache" / "cmr-hub"
