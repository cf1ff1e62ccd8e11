"""Pretrained encoders loaded by sentence-transformers and open_clip."""

from __future__ import annotations

from threading import Lock
from typing import Final

PREFIX: Final = "hf:"
"""Prefix of the names of pretrained encoders."""

BUILDING: Final = Lock()
"""Lock for building networks. While transformers and open_clip build a network, they replace
functions of torch for the whole process, and concurrent builds would restore wrong functions."""
