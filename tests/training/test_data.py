import numpy as np
import pytest

from cmr_hub.errors import TrainingError
from cmr_hub.training.data import PairedFeatures, TrainingSplits


def features(n=6, *, images=None, texts=None, labels=None, n_classes=3):
    return PairedFeatures(
        np.ones((n, 4), np.float32) if images is None else images,
        np.ones((n, 2), np.float32) if texts is None else texts,
        np.arange(n) % 3 if labels is None else labels,
        n_classes,
    )


def test_subset():
    pairs = features(images=np.arange(24, dtype=np.float32).reshape(6, 4))
    part = pairs.subset(np.array([4, 1]))
    assert len(pairs) == 6
    assert len(part) == 2
    assert part.images[:, 0].tolist() == [16, 4]
    assert part.labels.tolist() == [1, 1]
    assert part.n_classes == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": np.ones((5, 4), np.float32)}, "got 5, 6 and 6"),
        ({"texts": np.ones((7, 2), np.float32)}, "got 6, 7 and 6"),
        ({"labels": np.zeros(1, np.int64)}, "got 6, 6 and 1"),
        ({"n": 0}, "one of each; got 0, 0 and 0"),
        ({"images": np.full((6, 4), np.nan, np.float32)}, "not finite"),
        ({"texts": np.full((6, 2), -np.inf, np.float32)}, "not finite"),
        (
            {"labels": np.array([0, 1, 2, 0, 1, -2])},
            "none; got -2 to 2",
        ),
        (
            {"labels": np.array([0, 1, 2, 0, 1, 3])},
            "none; got 0 to 3",
        ),
        ({"n_classes": 2}, r"labels must lie in \[0, 2\)"),
    ],
)
def test_pairs_that_cannot_be_trained_on(options, message):
    with pytest.raises(TrainingError, match=message):
        features(**options)


def test_hash_changes_with_every_part():
    changed = np.ones((6, 4), np.float32)
    changed[5, 3] = np.nextafter(np.float32(1), np.float32(2))
    found = [
        features().sha256,
        features(images=changed).sha256,
        features(texts=np.zeros((6, 2), np.float32)).sha256,
        features(labels=np.zeros(6, np.int64)).sha256,
        features(n_classes=4).sha256,
    ]
    assert len(set(found)) == 5
    assert features().sha256 == found[0]


def test_final_pairs():
    fit, validation, whole = features(3), features(4), features(7)
    assert TrainingSplits(fit, validation, whole).final is whole
    assert TrainingSplits(fit, validation, None).final is fit
