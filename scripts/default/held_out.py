"""Hold out training items to monitor training; nothing is selected by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import IntArray


def held_out(
    labels: IntArray, generator: np.random.Generator, *, unlabelled: float, labelled: float
) -> npt.NDArray[np.bool_]:
    """Return a (N,) mask of the items to hold out.

    Args:
        labels: (N,) classes, -1 for none.
        generator: random generator.
        unlabelled: share of the items without a label.
        labelled: share of each class.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        share = unlabelled if label < 0 else labelled
        chosen[rows[: round(share * len(rows))]] = True
    return chosen
