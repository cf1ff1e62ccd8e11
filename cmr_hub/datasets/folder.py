"""A folder of pictures with a metadata file, in Hugging Face's ImageFolder format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmr_hub.datasets.location import find_dataset, not_found
from cmr_hub.datasets.metadata import (
    IMAGE_ENDINGS,
    TABLES,
    metadata_files,
    picture_annotations,
    walk,
)
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.datasets.protocols import SPLITS
from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import UnknownNameError

NAME = "folder"
PROTOCOL = "folders"
HOME_PAGE = "https://huggingface.co/docs/datasets/image_dataset"
LAYOUT = (
    "pictures with metadata.jsonl, .json, .csv, .tsv or .parquet next to or above them, with the "
    "columns file_name, one of captions, caption and text, and optionally label; the folders "
    "train, validation and test are the splits"
)


def read(root: str | Path | None = None, protocol: str = PROTOCOL) -> PairDataset:
    """Read a custom folder, usually passed as `root`. See `read_folder`."""
    return read_folder(NAME, root, protocol, HOME_PAGE)


def read_folder(name: str, root: str | Path | None, protocol: str, home_page: str) -> PairDataset:
    """Read the folder `root` or `$CMR_DATA_HOME/<name>`.

    Each `metadata.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` lists pictures relative to itself,
    with a row for each picture or for each caption; see `picture_annotations`. The id of an item is
    the picture's path in the folder. Its split is the name of the topmost folder if this is train,
    validation or test, otherwise train. The sentences come from the first existing column of
    `captions`, `caption` and `text` (a string; in JSON also a list of strings). Names that lead out
    of the folder, by `..`, an absolute path or a link, are refused and reported.

    Raises DataNotFoundError, also if no table lists a picture with a sentence, and
    UnknownNameError.
    """
    if protocol != PROTOCOL:
        raise UnknownNameError(f"protocol of {name}", protocol, [PROTOCOL])
    base = find_dataset(name, name, root, layout=LAYOUT, home_page=home_page)
    report = ReadReport()
    files = walk(base, report)
    tables = metadata_files(files, base, report)
    if not tables:
        raise not_found(name, f"{base} has no {', '.join(TABLES)}", LAYOUT, home_page)
    annotations = picture_annotations(files, base, report, tables=tables)
    for path in files:
        if path not in annotations and path not in tables:
            is_image = path.suffix.lower() in IMAGE_ENDINGS
            report.add("unlisted file" if is_image else "unexpected file", path)
    items = {
        path.relative_to(base).as_posix(): (path, found)
        for path, found in annotations.items()
        if found.sentences
    }
    if not items:
        reason = f"{base} contains no complete pair\n{report.summary()}"
        raise not_found(name, reason, LAYOUT, home_page)
    labels = [found.label for _, found in items.values()]
    classes = tuple(sorted({label for label in labels if label is not None}, key=_class_order))
    position = {label: index for index, label in enumerate(classes)}
    return PairDataset(
        name=name,
        protocol=protocol,
        ids=tuple(items),
        images=tuple(path for path, _ in items.values()),
        sentences=tuple(found.sentences for _, found in items.values()),
        labels=np.array(
            [-1 if label is None else position[label] for label in labels], dtype=np.int64
        ),
        classes=classes,
        splits=np.array([_split(item_id) for item_id in items]),
        report=report,
    )


def _split(item_id: str) -> str:
    top = item_id.split("/", 1)[0]
    return top if top in SPLITS else "train"


def _class_order(name: str) -> tuple[bool, int, str]:
    """Return a sort key: numbers first and by value, then words."""
    is_number = name.isascii() and name.isdigit()
    return not is_number, int(name[:18]) if is_number else 0, name
