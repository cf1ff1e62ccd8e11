"""Against the canonical directions of the baseline, which decomposes the rows themselves."""

import numpy as np
import pytest

from cmr_hub.baselines.canonical import canonical_directions
from cmr_hub.baselines.views import LinearView
from cmr_hub.errors import TrainingError
from cmr_hub.models.projector import Projector
from cmr_hub.training.data import Captions, PairedFeatures
from scripts.default.canonical import CanonicalPart, with_canonical

ITEMS, IMAGE_DIM, TEXT_DIM, DIM = 80, 9, 6, 4
PLAIN = CanonicalPart(dim=DIM, of_class=0.0, weights={})


def paired(*, views: int = 1) -> PairedFeatures:
    """Two captions a picture, and one pair of both together, which is noise here."""
    generator = np.random.default_rng(0)
    cause = generator.normal(size=(ITEMS, 3))
    images = cause @ generator.normal(size=(3, IMAGE_DIM))
    images += generator.normal(size=(ITEMS, IMAGE_DIM))
    texts = np.repeat(cause @ generator.normal(size=(3, TEXT_DIM)), 3, axis=0)
    texts += generator.normal(size=texts.shape)
    whole = np.arange(3 * ITEMS) % 3 == 2
    texts[whole] *= 100
    texts[~whole] -= texts[~whole].mean(0)
    images -= images.mean(0)
    items = np.repeat(np.arange(ITEMS), 3)
    labels = np.where(items < ITEMS // 2, items % 2, -1)
    pictures = images if views == 1 else np.repeat(images[:, np.newaxis], views, axis=1)
    return PairedFeatures(
        pictures.astype(np.float32),
        texts.astype(np.float32),
        labels,
        2,
        Captions(items, whole, (items >= ITEMS // 2).astype(np.int64)),
    )


def cosines(pairs: PairedFeatures, settings: CanonicalPart) -> np.ndarray:
    """Return the cosines of all pictures and texts in the canonical part alone."""
    sizes = ((IMAGE_DIM, 2), (TEXT_DIM, 2))
    projectors = [Projector(size, (), dim, output="sphere").eval() for size, dim in sizes]
    found = with_canonical(*projectors, pairs, ["labelled", "other"], settings)
    images = pairs.images.reshape(ITEMS, -1, IMAGE_DIM)[:, 0]
    parts = [
        one.embed(rows)[:, -DIM:] / settings.share**0.5
        for one, rows in zip(found, (images, pairs.texts), strict=True)
    ]
    return parts[0] @ parts[1].T


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("views", [1, 2])
def test_it_is_cca_of_the_single_captions(views):
    pairs = paired(views=views)
    assert pairs.captions is not None
    single = ~pairs.captions.whole
    images = paired().images
    sides = images[pairs.captions.items][single], pairs.texts[single]
    first, second = (LinearView.fit(side) for side in sides)
    directions = canonical_directions(first, second, PLAIN.image_ridge, PLAIN.text_ridge)
    weighted = directions.weighted({"dim": DIM, "power": PLAIN.power})
    expected = unit(first.coordinates(images) @ weighted[0])
    expected = expected @ unit(second.coordinates(pairs.texts) @ weighted[1]).T
    np.testing.assert_allclose(cosines(pairs, PLAIN), expected, atol=1e-4)


def test_a_dataset_of_no_weight_teaches_nothing():
    pairs = paired()
    assert pairs.captions is not None
    changed = pairs.texts.copy()
    changed[pairs.captions.sources == 1] *= -3
    other = PairedFeatures(pairs.images, changed, pairs.labels, 2, pairs.captions)
    settings = CanonicalPart(dim=DIM, of_class=0.0, weights={"other": 0.0})
    first = pairs.captions.sources == 0
    np.testing.assert_allclose(
        cosines(pairs, settings)[:, first], cosines(other, settings)[:, first], atol=1e-5
    )


def test_with_classes_the_captions_of_a_class_are_one():
    """With whole classes, exchanging captions within a class changes no cross-covariance."""
    pairs = paired()
    assert pairs.captions is not None
    swapped = pairs.texts.copy()
    rows = np.flatnonzero((pairs.labels == 0) & ~pairs.captions.whole)
    swapped[rows] = np.roll(pairs.texts[rows], 2, axis=0)
    other = PairedFeatures(pairs.images, swapped, pairs.labels, 2, pairs.captions)
    queries = pairs.captions.sources == 1
    for of_class, same in ((1.0, True), (0.5, False)):
        settings = CanonicalPart(dim=DIM, of_class=of_class, weights={})
        before, after = cosines(pairs, settings), cosines(other, settings)
        assert np.allclose(before[:, queries], after[:, queries], atol=1e-4) == same


def test_captions_are_needed():
    plain = PairedFeatures(
        np.ones((3, 2), np.float32), np.ones((3, 2), np.float32), np.arange(3), 3
    )
    projector = Projector(2, (), 2, output="sphere")
    with pytest.raises(TrainingError, match="separate pair"):
        with_canonical(projector, projector, plain, ["one"], PLAIN)
