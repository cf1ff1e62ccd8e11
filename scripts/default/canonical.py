"""A linear part of the projectors, fitted by canonical correlation analysis (CCA)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from cmr_hub.errors import TrainingError
from cmr_hub.models.joining import with_linear
from cmr_hub.models.projector import Projector

if TYPE_CHECKING:
    from cmr_hub.training.data import PairedFeatures
    from cmr_hub.types import JSONObject


@dataclass(frozen=True)
class CanonicalPart:
    """Settings of the canonical part.

    Args:
        share: share of the cosine.
        dim: number of pairs of directions.
        power: each direction is weighted by this power of its correlation.
        image_ridge, text_ridge: ridges, in units of the mean variance of a feature.
        of_class: share of the text of a labelled picture that is replaced by the mean text of its
            class, so that the directions separate classes too.
        weights: weight of a pair by the name of its dataset. Default: 1.
    """

    share: float = 0.25
    dim: int = 256
    power: float = 0.5
    image_ridge: float = 0.3
    text_ridge: float = 0.01
    of_class: float = 0.75
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"pascal-sentence": 2.0, "sketches": 0.3}
    )

    def as_dict(self) -> JSONObject:
        """Return the settings as plain JSON values."""
        return asdict(self)


def with_canonical(
    images: Projector,
    texts: Projector,
    pairs: PairedFeatures,
    names: Sequence[str],
    settings: CanonicalPart,
) -> tuple[Projector, Projector]:
    """Add the canonical part to projectors that were trained on the same pairs.

    The directions are those of regularised CCA (see `canonical_directions`), here from moments,
    because there are more pairs than dimensions. All views of a picture count as pictures.

    Args:
        images, texts: projectors with the output "sphere".
        pairs: single captions with their pictures; pairs with all captions are left out.
        names: names of the datasets, by `pairs.captions.sources`.
        settings: settings of the part.

    Raises:
        TrainingError: the captions are not separate pairs.
    """
    captions = pairs.captions
    if captions is None:
        raise TrainingError("the canonical part needs each caption as a separate pair")
    single = np.flatnonzero(~captions.whole)
    items, sources = captions.items[single], captions.sources[single]
    weight = np.array([settings.weights.get(name, 1.0) for name in names])[sources][:, np.newaxis]
    rows = pairs.texts[single].astype(np.float64) - texts.scaling.mean.numpy()
    targets = rows.copy()
    labels = pairs.labels[single]
    for source, label in np.unique(np.stack([sources, labels])[:, labels >= 0], axis=1).T:
        same = (sources == source) & (labels == label)
        targets[same] += settings.of_class * (rows[same].mean(0) - rows[same])
    count = len(pairs.images)
    of_item = np.zeros((count, 1))
    target_of_item = np.zeros((count, rows.shape[1]))
    np.add.at(of_item, items, weight)
    np.add.at(target_of_item, items, weight * targets)
    views = pairs.images.reshape(count, -1, images.in_dim)
    image_moment = np.zeros((images.in_dim, images.in_dim))
    cross_moment = np.zeros((images.in_dim, texts.in_dim))
    for number in range(views.shape[1]):
        view = views[:, number].astype(np.float64) - images.scaling.mean.numpy()
        image_moment += (view * of_item).T @ view / views.shape[1]
        cross_moment += view.T @ target_of_item / views.shape[1]
    whiten_images = _inverse_root(image_moment, settings.image_ridge)
    whiten_texts = _inverse_root((rows * weight).T @ rows, settings.text_ridge)
    left, correlations, right = np.linalg.svd(
        whiten_images @ cross_moment @ whiten_texts, full_matrices=False
    )
    emphasis = correlations[: settings.dim] ** settings.power
    directions = (
        whiten_images @ left[:, : settings.dim] * emphasis,
        whiten_texts @ right[: settings.dim].T * emphasis,
    )
    first, second = (
        # The length of a direction's output does not matter; float16 needs a moderate one.
        with_linear(projector, torch.from_numpy(one.T / abs(one).max()).float(), settings.share)
        for projector, one in zip((images, texts), directions, strict=True)
    )
    return first, second


def _inverse_root(moment: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(moment)
    root: NDArray[np.float64] = vectors / np.sqrt(values + ridge * values.mean()) @ vectors.T
    return root
