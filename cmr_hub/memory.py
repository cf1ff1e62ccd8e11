"""How much memory the machine has, asked before it is filled."""

from __future__ import annotations

import os

from cmr_hub.errors import TrainingError


def require_memory(needed: int, what: str, advice: str) -> None:
    """Raises TrainingError if `what` needs more bytes than half of this machine's memory."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there / 2:
        raise TrainingError(
            f"{what} needs {needed / 2**30:.1f} GiB, more than half of this machine's "
            f"{there / 2**30:.1f}; {advice}"
        )
