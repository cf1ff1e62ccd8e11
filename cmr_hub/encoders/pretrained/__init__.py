"""Pretrained encoders that libraries read: sentence-transformers and open_clip."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "hf:"
"""Before a name, it says that a pretrained encoder is meant."""
