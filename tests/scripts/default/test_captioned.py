from dataclasses import replace

import numpy as np
import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.errors import DataFormatError, UnknownNameError
from scripts.default.captioned import captioned_pictures


def test_captioned_pictures(colour_folder):
    dataset = load_dataset("folder", colour_folder)
    other = replace(dataset, name="other", classes=("Flame", "mud", "sea"))
    plain = replace(dataset, name="plain", labels=np.full(len(dataset), -1), classes=())
    found = captioned_pictures([dataset, other, plain], seed=0, share=0.25)
    assert len(found.images) == len(found.sentences) == 72
    assert all("train" in path.parts and "test" not in path.parts for path in found.images)
    assert found.n_classes == 4
    assert found.sources == ("folder", "other", "plain")
    assert found.source.tolist() == [0] * 24 + [1] * 24 + [2] * 24
    for label in range(3):
        assert found.held_out[:24][found.labels[:24] == label].sum() == 2
    flame = found.labels[np.array(["flame" in path.name for path in found.images])]
    assert set(flame[:16]) == {0}
    assert (found.labels[48:] == -1).all()
    assert found.held_out[48:].sum() == 6
    again = captioned_pictures([dataset, other, plain], seed=0, share=0.25)
    assert np.array_equal(again.held_out, found.held_out)
    different = captioned_pictures([dataset, other, plain], seed=1, share=0.25)
    assert not np.array_equal(different.held_out, found.held_out)


def test_pairs_that_are_not_whole_are_left_out(colour_folder):
    dataset = load_dataset("folder", colour_folder)
    images = tuple(None if row == 1 else image for row, image in enumerate(dataset.images))
    sentences = tuple(() if row == 2 else told for row, told in enumerate(dataset.sentences))
    whole = captioned_pictures([dataset], seed=0)
    found = captioned_pictures([replace(dataset, images=images, sentences=sentences)], seed=0)
    gone = {dataset.images[row] for row in (1, 2)} & set(whole.images)
    assert set(found.images) == set(whole.images) - gone


def test_datasets_that_do_not_fit(colour_folder):
    dataset = load_dataset("folder", colour_folder)
    with pytest.raises(UnknownNameError, match="train"):
        captioned_pictures([dataset.split("test")], seed=0)
    with pytest.raises(DataFormatError, match="none of them twice"):
        captioned_pictures([dataset, dataset], seed=0)
    with pytest.raises(DataFormatError, match="at least one dataset"):
        captioned_pictures([], seed=0)
