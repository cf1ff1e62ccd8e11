"""Pictures with sentences from the training splits of datasets, some of which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.joined import joined
from scripts.default.held_out import held_out

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.types import ImageSource, IntArray


@dataclass(frozen=True)
class Captioned:
    """Pictures with sentences, some of which are held out to monitor training.

    Attributes:
        images: N pictures, all from training splits.
        sentences: N non-empty tuples.
        labels: (N,) int64 in [0, n_classes), or -1 for no label.
        n_classes: number of classes.
        sources: names of the datasets.
        source: (N,) int64 index of each picture's dataset.
        held_out: (N,) bool.
    """

    images: tuple[ImageSource, ...]
    sentences: tuple[tuple[str, ...], ...]
    labels: IntArray
    n_classes: int
    sources: tuple[str, ...]
    source: IntArray
    held_out: npt.NDArray[np.bool_]


def captioned_pictures(
    datasets: Sequence[PairDataset], seed: int, *, share: float = 0.05
) -> Captioned:
    """Return the pictures with sentences of the training splits; classes of equal name are merged.

    Args:
        datasets: datasets with a training split; their other splits are not used.
        seed: random seed of the held-out pictures.
        share: share to hold out of each dataset and each of its classes.

    Raises:
        UnknownNameError: a dataset has no training split.
        DataFormatError: there is no dataset, or one is repeated.
    """
    parts = []
    for dataset in datasets:
        part = dataset.split("train")
        pairs = zip(part.images, part.sentences, strict=True)
        parts.append(part.subset(np.array([image is not None and any(s) for image, s in pairs])))
    whole = joined(parts)
    chosen = [
        held_out(
            part.single_labels,
            np.random.default_rng((seed, number)),
            unlabelled=share,
            labelled=share,
        )
        for number, part in enumerate(parts)
    ]
    return Captioned(
        tuple(image for image in whole.images if image is not None),
        whole.sentences,
        whole.single_labels,
        len(whole.classes),
        tuple(part.name for part in parts),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        np.concatenate(chosen),
    )
