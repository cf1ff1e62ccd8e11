"""Annotations of COCO and FiftyOne, wherever their file is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.annotations import annotation_records
from cmr_hub.datasets.metadata import Annotations, picture_annotations, walk
from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import DataNotFoundError

COCO = {
    "info": {"year": 2014},
    "images": [
        {"id": 1, "file_name": "1.jpg", "width": 640},
        {"id": 2, "file_name": "2.jpg"},
        {"id": 3, "file_name": "3.jpg"},
    ],
    "annotations": [
        {"image_id": 1, "caption": "a dog"},
        {"image_id": 1, "caption": "a dog runs"},
        {"image_id": 1, "category_id": 18},
        {"image_id": 1, "category_id": 18},
        {"image_id": 2, "category_id": 18},
        {"image_id": 2, "category_id": 1},
        {"image_id": 9, "caption": "of no picture"},
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
}
FIFTYONE = {
    "samples": [
        {
            "filepath": "data/1.jpg",
            "tags": ["train"],
            "id": "64",
            "_media_type": "image",
            "metadata": {"_cls": "ImageMetadata", "width": 3},
            "created_at": {"$date": "2024-05-01T00:00:00Z"},
            "ground_truth": {"_cls": "Classification", "label": "dog"},
            "guess": {"_cls": "Classification", "label": "cat", "confidence": 0.5},
            "boxes": {"_cls": "Detections", "detections": [{"label": "a"}, {"label": "b"}]},
            "captions": ["a dog"],
            "price": 2.5,
            "embedding": [0.1, 0.2],
        },
        {"filepath": "/other/machine/data/2.jpg", "tags": [], "caption": "a cat"},
    ]
}


def told(base: Path, content: object, *names: str) -> tuple[dict[str, Annotations], ReadReport]:
    for name in names:
        (base / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "pictures" / name).touch()
    (base / "annotations.json").write_text(json.dumps(content))
    report = ReadReport()
    files = walk(base / "pictures", report)
    given = [base / "annotations.json"]
    found = picture_annotations(files, base / "pictures", report, tables=(), given=given)
    return {path.name: one for path, one in found.items()}, report


def test_coco(tmp_path) -> None:
    found, report = told(tmp_path, COCO, "val/1.jpg", "val/2.jpg")
    assert found["1.jpg"].sentences == ("a dog", "a dog runs")
    assert (found["1.jpg"].label, found["1.jpg"].metadata) == ("dog", {"categories": ["dog"]})
    assert found["2.jpg"].label is None
    assert found["2.jpg"].metadata == {"categories": ["dog", "person"]}
    assert report.counts["missing image"] == 1


def test_fiftyone(tmp_path) -> None:
    found, _ = told(tmp_path, FIFTYONE, "1.jpg", "2.jpg")
    assert found["2.jpg"].sentences == ("a cat",)
    one = found["1.jpg"]
    assert (one.sentences, one.label) == (("a dog",), "dog")
    assert one.metadata == {
        "tags": ["train"],
        "created_at": "2024-05-01T00:00:00Z",
        "guess": "cat",
        "boxes": ["a", "b"],
        "price": 2.5,
    }


def test_a_folder_is_a_dataset_with_them(tmp_path) -> None:
    (tmp_path / "1.jpg").touch()
    (tmp_path / "metadata.json").write_text(json.dumps(COCO))
    dataset = load_dataset("folder", tmp_path, check_images=False)
    assert dataset.sentences == (("a dog", "a dog runs"),)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("x/a/1.jpg", "a/1.jpg"),
        (r"C:\photos\A\1.JPG", "a/1.jpg"),
        ("1.jpg", None),
        ("2.jpg", "b/2.jpg"),
        ("z/2.jpg", "b/2.jpg"),
        ("11.jpg", None),
        ("", None),
    ],
)
def test_pictures_are_found_by_the_end_of_their_path(tmp_path, name: str, found) -> None:
    content = [{"file_name": name, "caption": "it"}]
    annotations, report = told(tmp_path, content, "a/1.jpg", "b/1.jpg", "b/2.jpg")
    assert list(annotations) == ([] if found is None else [Path(found).name])
    assert (found is None) == bool(len(report))


def test_a_table_that_is_not_there(tmp_path) -> None:
    with pytest.raises(DataNotFoundError, match=r"absent\.json is not a file"):
        picture_annotations([], tmp_path, ReadReport(), tables=(), given=[tmp_path / "absent.json"])


@pytest.mark.parametrize(
    "content",
    [
        {"images": [], "annotations": {}},
        {"samples": [{"a": 1}]},
        {"file_name": "1.jpg"},
        [],
        {"samples": None},
    ],
)
def test_other_content(content: Any) -> None:
    assert annotation_records(content) is None


def test_odd_annotations() -> None:
    odd = {"images": [None, {"id": 1}], "annotations": [3, {"image_id": 1}, {}], "categories": 7}
    assert annotation_records(odd) == [{"file_name": None}]
