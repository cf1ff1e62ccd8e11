"""Datasets that are published as feature rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cmr_hub.datasets.columns import Columns
from cmr_hub.types import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FeatureDataset(Columns):
    """N items, each an image feature row and the text feature row of its pair. See `Columns`.

    Attributes:
        image_features: (N, Di) float32.
        text_features: (N, Dt) float32.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (*Columns.COLUMNS, "image_features", "text_features")

    image_features: FloatArray
    text_features: FloatArray
