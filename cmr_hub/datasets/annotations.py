"""Annotations of COCO and FiftyOne as rows of a table, one for each picture.

COCO: https://cocodataset.org/#format-data. FiftyOne: `samples.json` of an exported dataset,
https://docs.voxel51.com/user_guide/export_datasets.html#fiftyonedataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CLASSES: Final = ("Classification", "Classifications", "Detections", "Polylines", "Keypoints")
_TRUTH: Final = "ground_truth"


def annotation_records(content: object) -> list[dict[str, Any]] | None:
    """Return a record for each picture of a file of COCO or FiftyOne; None for other content.

    COCO's captions are the sentences, and the names of its categories the column `categories`.
    Of FiftyOne's fields, numbers, texts and dates are columns, and so are the labels of each field
    of labels. The label is that of a picture with a single one, for FiftyOne in `ground_truth`.
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
    found = []
    for id_, image in records.items():
        own = list(categories.get(id_, ()))
        record: dict[str, Any] = {"file_name": image.get("file_name")}
        record |= {"captions": captions[id_]} if id_ in captions else {}
        record |= {"label": own[0]} if len(own) == 1 else {}
        found.append(record | ({"categories": own} if own else {}))
    return found


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
    given = [value] if kind == "Classification" else _objects(value.get(kind.lower()))
    labels = list(dict.fromkeys(str(one["label"]) for one in given if one.get("label")))
    if len(labels) == 1 and name == _TRUTH:
        return {"label": labels[0]}
    return {name: labels[0] if kind == "Classification" else labels} if labels else {}
