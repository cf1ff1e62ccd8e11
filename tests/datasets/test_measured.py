"""Datasets with something to measure on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.joined import joined, parts, sources
from cmr_hub.datasets.measured import (
    AS_TEST,
    join_measured,
    load_measured,
    measured_split,
    with_test_split,
)
from cmr_hub.errors import DataFormatError, UnknownNameError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """`folder` of train and validation pictures, `flickr8k` of train and test ones."""
    for name, held_out in (("folder", "validation"), ("flickr8k", "test")):
        for split, count in (("train", 6), (held_out, 2)):
            place = tmp_path / name / split
            place.mkdir(parents=True)
            lines = []
            for number in range(count):
                Image.new("RGB", (9, 9), (number * 20, 0, 0)).save(place / f"{number}.png")
                lines.append(json.dumps({"file_name": f"{number}.png", "text": f"red {number}"}))
            (place / "metadata.jsonl").write_text("\n".join(lines))
    monkeypatch.setenv("CMR_DATA_HOME", str(tmp_path))
    return tmp_path


def test_validation_is_measured_where_there_is_no_test_split(home):
    found = with_test_split(load_dataset("folder"))
    assert found.split_names == ("train", "test")
    assert len(found.split("test")) == 2
    assert found.protocol == "folders" + AS_TEST
    has_one = load_dataset("flickr8k")
    assert with_test_split(has_one) is has_one
    only = has_one.split("train")
    assert with_test_split(only) is only


def test_it_is_read_again_by_its_record(home):
    found = with_test_split(load_dataset("folder"))
    again = load_measured(found.name, found.protocol)
    assert again.ids == found.ids
    assert again.splits.tolist() == found.splits.tolist()
    assert again.protocol == found.protocol
    both = join_measured([load_dataset("folder"), load_dataset("flickr8k")])
    again = load_measured(both.name, both.protocol)
    assert both.protocol == "folders" + AS_TEST + "+folders"
    assert again.ids == both.ids
    assert again.splits.tolist() == both.splits.tolist()
    with pytest.raises(DataFormatError, match="cannot have been split"):
        load_measured(both.name, "folders")


def test_validation_in_place_of_the_test_split_is_read_again(home):
    (home / "folder" / "test").mkdir()
    for path in (home / "folder" / "validation").iterdir():
        (home / "folder" / "test" / path.name).write_bytes(path.read_bytes())
    dataset = load_dataset("folder")
    found = with_test_split(dataset, "validation")
    assert found.split("test").ids == dataset.split("validation").ids
    assert found.split_names == ("train", "test")
    assert load_measured(found.name, found.protocol).ids == found.ids
    assert with_test_split(dataset, "test") is dataset
    assert with_test_split(dataset) is dataset
    assert measured_split(dataset) == "test"
    assert measured_split(dataset, "train") == "train"
    with pytest.raises(UnknownNameError, match="'validation'"):
        join_measured([dataset, load_dataset("flickr8k")], "validation")


def test_where_each_item_is_from(home):
    both = join_measured([load_dataset("folder"), load_dataset("flickr8k")])
    assert sources(both).tolist() == [0] * 8 + [1] * 8
    first, second = parts(both)
    assert (first.name, second.name) == ("folder", "flickr8k")
    assert len(first) == len(second) == 8
    assert second.protocol == "folders"
    alone = load_dataset("folder")
    assert parts(alone) == [alone]
    assert sources(alone).tolist() == [0] * 8
    assert sources(joined([alone])).tolist() == [0] * 8


def test_a_validation_split_of_some_only_is_trained_on(home):
    folder, flickr = load_dataset("folder"), load_dataset("flickr8k")
    splits = np.where(np.arange(8) == 0, "validation", flickr.splits)
    flickr = replace(flickr, splits=splits)
    both = join_measured([folder, flickr])
    assert both.split_names == ("train", "test")
    assert len(both.split("train")) == 6 + 7
    with pytest.raises(DataFormatError, match="no test or validation split"):
        join_measured([folder.split("train"), flickr.split("train")])
