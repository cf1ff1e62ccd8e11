"""Pictures with their sentences out of the training splits of datasets, some of them held out."""

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
    """Pictures with their sentences, of which some are held out to measure the training.

    Attributes:
        images: N pictures, all of training splits.
        sentences: N tuples, none of them empty.
        labels: (N,) int64 in [0, n_classes), -1 where there is none.
        n_classes: number of classes.
        sources: names of the datasets.
        source: (N,) int64, which of them a picture is of.
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
    """The pictures with sentences of the training splits, classes of one name made one.

    Args:
        datasets: with a training split; nothing else of them is looked at.
        seed: of the choice of what is held out.
        share: held out of each dataset, and of each of its classes.

    Raises:
        UnknownNameError: a dataset has no training split.
        DataFormatError: no dataset, or one given twice.
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
