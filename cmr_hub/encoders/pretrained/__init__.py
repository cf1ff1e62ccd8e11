"""Pretrained encoders loaded by sentence-transformers and open_clip."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "hf:"
"""Prefix of the names of pretrained encoders."""
