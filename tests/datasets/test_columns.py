from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from cmr_hub.datasets import FeatureDataset, PairDataset
from cmr_hub.errors import DataFormatError, UnknownNameError


def pairs(**changes):
    columns = {
        "name": "toys",
        "protocol": "2/1",
        "ids": ("a", "b", "c"),
        "images": (Path("a.jpg"), None, Path("c.jpg")),
        "sentences": (("one",), ("two", "three"), ("four",)),
        "labels": np.array([1, -1, 0]),
        "classes": ("cat", "dog"),
        "splits": np.array(["train", "test", "train"]),
    }
    return PairDataset(**columns | changes)


def features():
    return FeatureDataset(
        name="rows",
        protocol="1/1",
        ids=("a", "b"),
        image_features=np.array([[1, 2], [3, 4]], dtype=np.float32),
        text_features=np.array([[5], [6]], dtype=np.float32),
        labels=np.array([0, 1]),
        classes=("x", "y"),
        splits=np.array(["train", "test"]),
    )


def test_split_takes_the_rows_of_every_column():
    dataset = pairs()
    train = dataset.split("train")
    assert dataset.split_names == ("train", "test")
    assert train.split_names == ("train",)
    assert (len(dataset), len(train)) == (3, 2)
    assert train.ids == ("a", "c")
    assert train.images == (Path("a.jpg"), Path("c.jpg"))
    assert train.sentences == (("one",), ("four",))
    assert train.labels.tolist() == [1, 0]
    assert train.classes == ("cat", "dog")
    assert train.report is dataset.report


@pytest.mark.parametrize("name", ["validation", "tset", ""])
def test_unknown_or_empty_split_is_told_with_the_choices(name):
    with pytest.raises(UnknownNameError, match=f"split of toys 2/1 {name!r}.*: train, test"):
        pairs().split(name)


def test_subset_by_positions_mask_and_nothing():
    dataset = pairs()
    assert dataset.subset([2, 0]).ids == ("c", "a")
    assert dataset.subset(np.array([-1])).ids == ("c",)
    assert dataset.subset(np.array([False, True, True])).ids == ("b", "c")
    assert dataset.subset([]).ids == ()
    assert dataset.subset([]).split_names == ()
    with pytest.raises(IndexError):
        dataset.subset([3])
    with pytest.raises(DataFormatError, match="all different"):
        dataset.subset([0, 0])


def test_label_name():
    assert [pairs().label_name(index) for index in range(3)] == ["dog", None, "cat"]


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        pairs().name = "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ("a", "b")}, "different length.*'ids': 2"),
        ({"images": ()}, "different length.*'images': 0"),
        ({"sentences": ((),) * 4}, "different length.*'sentences': 4"),
        ({"ids": ("a", "b", "a")}, "ids are not all different"),
        ({"labels": np.array([0.0, 1.0, 1.0])}, "int64"),
        ({"labels": np.array([[0], [1], [1]])}, "float32 rows of 2 classes"),
        ({"labels": np.float32([[0], [1], [1]])}, "float32 rows of 2 classes"),
        ({"labels": np.float32([[0, 1], [1, 1], [2, 0]])}, "only 0 and 1"),
        ({"labels": np.array([0, 1, 2])}, r"lie in -1\.\.1, not in 0\.\.2"),
        ({"labels": np.array([0, 1, -2])}, r"not in -2\.\.1"),
        ({"splits": np.array(["train", "test", "dev"])}, "train, validation, test"),
    ],
)
def test_wrong_columns_are_refused(changes, message):
    with pytest.raises(DataFormatError, match=f"toys: .*{message}"):
        pairs(**changes)


def test_features_have_the_same_verbs():
    dataset = features()
    test = dataset.split("test")
    assert test.ids == ("b",)
    assert test.image_features.tolist() == [[3, 4]]
    assert test.text_features.tolist() == [[6]]
    assert dataset.subset([1, 0]).text_features.tolist() == [[6], [5]]
    assert dataset.label_name(1) == "y"
