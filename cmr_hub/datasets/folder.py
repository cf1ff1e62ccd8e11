"""A folder of pictures with a metadata file, in Hugging Face's ImageFolder format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmr_hub.datasets.location import find_dataset, not_found
from cmr_hub.datasets.metadata import (
    IMAGE_ENDINGS,
    metadata_files,
    picture_path,
    record_label,
    record_sentences,
    records,
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
    "pictures with metadata.jsonl, .csv or .parquet beside or above them, which has file_name, one "
    "of captions, caption and text, and perhaps label; folders train, validation, test are splits"
)


@dataclass(frozen=True)
class _Item:
    id: str
    image: Path
    sentences: tuple[str, ...]
    label: str | None


def read(root: str | Path | None = None, protocol: str = PROTOCOL) -> PairDataset:
    """Read your own folder, usually given as `root`. See `read_folder`."""
    return read_folder(NAME, root, protocol, HOME_PAGE)


def read_folder(name: str, root: str | Path | None, protocol: str, home_page: str) -> PairDataset:
    """Read the folder `root` or `$CMR_DATA_HOME/<name>`.

    Each `metadata.jsonl`, `.csv` or `.parquet` lists pictures relative to itself. The id of an item
    is the picture's path in the folder. Its split is the name of the topmost folder if that is
    train, validation or test, otherwise train. The sentences come from the first existing column of
    `captions`, `caption` and `text` (a string; in JSON also a list of strings). Names that lead out
    of the folder, by `..`, an absolute path or a link, are refused and reported.

    Raises DataNotFoundError, DataFormatError (a table without `file_name`) and UnknownNameError.
    """
    if protocol != PROTOCOL:
        raise UnknownNameError(f"protocol of {name}", protocol, [PROTOCOL])
    base = find_dataset(name, name, root, layout=LAYOUT, home_page=home_page)
    report = ReadReport()
    files = walk(base, report)
    on_disk = set(files)
    tables = metadata_files(files, base, report)
    if not tables:
        raise not_found(
            name,
            f"{base} has no metadata.jsonl, metadata.csv or metadata.parquet",
            LAYOUT,
            home_page,
        )

    items: dict[str, _Item] = {}
    named: set[Path] = set()
    for table in tables:
        for where, record in records(table, report):
            image = picture_path(base, table, record, where, on_disk, report)
            if image is None:
                continue
            named.add(image)
            item = _item(base, image, record, where, report)
            if item is not None and items.setdefault(item.id, item) is not item:
                report.add("duplicate id", where, item.id)
    for path in files:
        if path not in named and path not in tables:
            is_image = path.suffix.lower() in IMAGE_ENDINGS
            report.add("unlisted file" if is_image else "unexpected file", path)
    if not items:
        raise not_found(name, f"{base} holds no whole pair\n{report.summary()}", LAYOUT, home_page)

    names = {item.label for item in items.values() if item.label is not None}
    classes = tuple(sorted(names, key=_class_order))
    position = {label: index for index, label in enumerate(classes)}
    return PairDataset(
        name=name,
        protocol=protocol,
        ids=tuple(items),
        images=tuple(item.image for item in items.values()),
        sentences=tuple(item.sentences for item in items.values()),
        labels=np.array(
            [-1 if item.label is None else position[item.label] for item in items.values()],
            dtype=np.int64,
        ),
        classes=classes,
        splits=np.array([_split(item_id) for item_id in items]),
        report=report,
    )


def _split(item_id: str) -> str:
    top = item_id.split("/", 1)[0]
    return top if top in SPLITS else "train"


def _class_order(name: str) -> tuple[bool, int, str]:
    """Sort key: numbers first and by value, then words."""
    is_number = name.isascii() and name.isdigit()
    return not is_number, int(name[:18]) if is_number else 0, name


def _item(
    base: Path, image: Path, record: dict[str, Any], where: str, report: ReadReport
) -> _Item | None:
    sentences = record_sentences(record, where, report)
    if not sentences:
        return None
    label = record_label(record, where, report)
    return _Item(image.relative_to(base).as_posix(), image, sentences, label)
