from collections import Counter

import numpy as np
import pytest

from cmr_hub.datasets.protocols import random_seed, stratified_holdout, tail_split


@pytest.fixture
def shuffled():
    """Three classes of 12, 3 and 1 items in no order."""
    generator = np.random.default_rng(3)
    labels = generator.permutation(np.repeat([0, 1, 2], [12, 3, 1]))
    ids = [f"item{number:02d}" for number in generator.permutation(len(labels))]
    return ids, labels


@pytest.mark.parametrize(("validation", "test"), [(0, 2), (2, 2), (3, 1), (0, 0)])
def test_tail_split_against_a_plain_loop(shuffled, validation, test):
    ids, labels = shuffled
    expected = {}
    for label in (0, 1, 2):
        members = sorted(name for name, own in zip(ids, labels, strict=True) if own == label)
        for place, name in enumerate(members):
            from_end = len(members) - 1 - place
            if from_end < test:
                expected[name] = "test"
            elif from_end < test + validation:
                expected[name] = "validation"
            else:
                expected[name] = "train"
    splits = tail_split(ids, labels, validation=validation, test=test)
    assert dict(zip(ids, splits.tolist(), strict=True)) == expected


def test_random_split_keeps_the_sizes_and_depends_on_the_seed_only(shuffled):
    ids, labels = shuffled
    fixed = tail_split(ids, labels, validation=1, test=2)
    drawn = [tail_split(ids, labels, validation=1, test=2, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    for splits in drawn:
        assert Counter(zip(labels, splits, strict=True)) == Counter(zip(labels, fixed, strict=True))
    # The order in which the items are given does not matter.
    turned = tail_split(ids[::-1], labels[::-1], validation=1, test=2, seed=0)
    np.testing.assert_array_equal(turned[::-1], drawn[0])


def test_random_seed():
    assert random_seed("random-0") == 0
    assert random_seed("random-17") == 17
    for name in ("random", "random-", "random-x", "random--1", "random-1 ", "800/200"):
        assert random_seed(name) is None


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(5))
def test_holdout_is_a_stratified_partition(fraction, seed):
    labels = np.repeat([-1, 0, 1, 2, 7], [9, 1, 2, 3, 40])
    fit, held_out = stratified_holdout(labels, fraction, seed)
    assert sorted([*fit, *held_out]) == list(range(len(labels)))
    assert (np.diff(fit) > 0).all()
    assert (np.diff(held_out) > 0).all()
    for label in (-1, 1, 2, 7):
        size = (labels == label).sum()
        count = (labels[held_out] == label).sum()
        assert 1 <= count < size
        assert count in (1, size - 1) or abs(count - fraction * size) <= 0.5
    assert 0 not in labels[held_out]


def test_holdout_is_deterministic_and_checks_the_fraction():
    labels = np.zeros(30, dtype=np.int64)
    np.testing.assert_array_equal(
        stratified_holdout(labels, 0.2, 4)[1], stratified_holdout(labels, 0.2, 4)[1]
    )
    assert (stratified_holdout(labels, 0.2, 4)[1] != stratified_holdout(labels, 0.2, 5)[1]).any()
    for fraction in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="fraction"):
            stratified_holdout(labels, fraction, 0)


def test_holdout_of_nothing_is_nothing():
    fit, held_out = stratified_holdout(np.zeros(0, dtype=np.int64), 0.5, 0)
    assert len(fit) == len(held_out) == 0
