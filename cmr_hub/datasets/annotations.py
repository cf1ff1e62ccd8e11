"""Convert annotations of COCO and FiftyOne to table rows, one for each picture.

COCO: https://cocodataset.org/#format-data. FiftyOne: `samples.json` of an exported dataset,
https://docs.voxel51.com/user_guide/export_datasets.html#fiftyonedataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CLASSES: Final = ("Classification", "Classifications", "Detections", "Polylines", "Keypoints")
_TRUTH: Final = "ground_truth"


def annotation_records(content: object) -> list[dict[str, Any]] | None:
    """Return a record for each picture of a COCO or FiftyOne file; None for other content.

    COCO captions become sentences, and the names of the categories become the column `categories`.
    FiftyOne fields of numbers, texts, dates or labels become columns. `label` is set for pictures
    with exactly one label, for FiftyOne one in `ground_truth`.
    """
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
        return _coco(content)
    samples = content.get("samples")
    if isinstance(samples, list) and any("filepath" in one for one in _objects(samples)):
        return [_sample(one) for one in _objects(samples)]
    return None


def _objects(values: object) -> list[Mapping[str, Any]]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _coco(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = {str(one.get("id")): one.get("name") for one in _objects(content.get("categories"))}
    records = {str(one.get("id")): one for one in _objects(content["images"])}
    captions: dict[str, list[Any]] = {}
    categories: dict[str, dict[Any, None]] = {}
    for one in _objects(content["annotations"]):
        picture = str(one.get("image_id"))
        if "caption" in one:
            captions.setdefault(picture, []).append(one["caption"])
        if (name := names.get(str(one.get("category_id")))) is not None:
            categories.setdefault(picture, {})[str(name)] = None
    rows = []
    for id_, image in records.items():
        own_categories = list(categories.get(id_, ()))
        row: dict[str, Any] = {"file_name": image.get("file_name")}
        row |= {"captions": captions[id_]} if id_ in captions else {}
        row |= {"label": own_categories[0]} if len(own_categories) == 1 else {}
        rows.append(row | ({"categories": own_categories} if own_categories else {}))
    return rows


def _sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"file_name": sample.get("filepath")}
    for name, value in sample.items():
        if name in ("filepath", "id", "metadata") or name.startswith("_") or value in (None, []):
            continue
        if isinstance(value, dict):
            if "$date" in value:
                record[name] = value["$date"]
            elif value.get("_cls") in _CLASSES:
                record |= _labels(name, value)
        elif not isinstance(value, list) or all(isinstance(one, str) for one in value):
            record[name] = value  # other lists are vectors or objects of FiftyOne
    return record


def _labels(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(value["_cls"])
    objects = [value] if kind == "Classification" else _objects(value.get(kind.lower()))
    labels = list(dict.fromkeys(str(one["label"]) for one in objects if one.get("label")))
    if len(labels) == 1 and name == _TRUTH:
        return {"label": labels[0]}
    return {name: labels[0] if kind == "Classification" else labels} if labels else {}
