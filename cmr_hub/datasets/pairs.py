"""Datasets of pictures with sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from cmr_hub.datasets.columns import Columns


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PairDataset(Columns):
    """N items, each a picture with its sentences. See `Columns`.

    Attributes:
        images: N paths of pictures; None for an item with text only.
        sentences: N tuples of sentences.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (*Columns.COLUMNS, "images", "sentences")

    images: tuple[Path | None, ...]
    sentences: tuple[tuple[str, ...], ...]

    def without_broken_images(self) -> Self:
        """Return the items whose picture can be decoded; the others are added to the report.

        Splits do not change, so that the check moves no item from training to test.
        """
        from cmr_hub.datasets.images import broken_images

        broken = broken_images([path for path in self.images if path is not None])
        for path, reason in broken.items():
            self.report.add("broken image", path, reason)
        return self.subset(np.array([path not in broken for path in self.images], dtype=bool))
