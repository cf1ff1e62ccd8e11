"""File and folder names of a saved model."""

from __future__ import annotations

from typing import Final

CONFIG: Final = "config.json"
TENSORS: Final = "model.safetensors"
IMAGE_WEIGHTS: Final = "image_encoder.safetensors"
HISTORY: Final = "history.json"
SNAPSHOTS: Final = "snapshots.safetensors"
CARD: Final = "README.md"
GALLERY: Final = "gallery"
PICTURES: Final = "pictures"
CARD_PICTURES: Final = "card"
ENCODERS: Final = "encoders"
