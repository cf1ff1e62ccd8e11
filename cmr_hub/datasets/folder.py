"""A folder of pictures with a metadata file: Hugging Face's ImageFolder convention."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from cmr_hub.datasets.location import find_dataset, not_found
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.datasets.protocols import SPLITS
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import decode_text
from cmr_hub.errors import DataFormatError, UnknownNameError

NAME = "folder"
PROTOCOL = "folders"
HOME_PAGE = "https://huggingface.co/docs/datasets/image_dataset"
LAYOUT = (
    "pictures with metadata.jsonl or metadata.csv beside or above them, which has file_name, one "
    "of captions, caption and text, and perhaps label; folders train, validation, test are splits"
)
TEXT_KEYS = ("captions", "caption", "text")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class _Item:
    id: str
    image: Path
    sentences: tuple[str, ...]
    label: str | None


def read(root: str | Path | None = None, protocol: str = PROTOCOL) -> PairDataset:
    """Reads a folder of one's own; `root` is the usual way to name it. See `read_folder`."""
    return read_folder(NAME, root, protocol, HOME_PAGE)


def read_folder(name: str, root: str | Path | None, protocol: str, home_page: str) -> PairDataset:
    """Reads the folder `root` or `$CMR_DATA_HOME/<name>`.

    Every `metadata.jsonl` or `metadata.csv` in it names pictures relative to itself. An item's id
    is the picture's path within the folder; its split is the topmost folder's name where that is
    train, validation or test, and train elsewhere. Of `captions`, `caption` and `text` the first
    that is there gives the sentences (a string, or in JSON also a list of strings). Names that
    lead out of the folder, by `..`, an absolute path or a link, are reported and refused.

    Raises DataNotFoundError, DataFormatError (a table without `file_name`) and UnknownNameError.
    """
    if protocol != PROTOCOL:
        raise UnknownNameError(f"protocol of {name}", protocol, [PROTOCOL])
    base = find_dataset(name, name, root, layout=LAYOUT, home_page=home_page)
    report = ReadReport()
    files = _walk(base, report)
    on_disk = set(files)
    tables = _metadata_files(files, base, report)
    if not tables:
        raise not_found(name, f"{base} has no metadata.jsonl or metadata.csv", LAYOUT, home_page)

    items: dict[str, _Item] = {}
    named: set[Path] = set()
    for table in tables:
        records = _json_records if table.suffix == ".jsonl" else _csv_records
        for where, record in records(table, report):
            image = _image_path(base, table, record, where, on_disk, report)
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
    """Numbers first and by value, then words."""
    is_number = name.isascii() and name.isdigit()
    return not is_number, int(name[:18]) if is_number else 0, name


def _walk(base: Path, report: ReadReport) -> list[Path]:
    """All files in the folder, sorted. Hidden folders and linked ones are not entered."""
    files: list[Path] = []
    for parent, folders, names in os.walk(base):
        for folder in sorted(folders):
            path = Path(parent, folder)
            if path.is_symlink():
                report.add("unsafe path", path, "a link to a folder is not followed")
            elif folder.startswith("."):
                report.add("unexpected file", path, "a hidden folder is not read")
                folders.remove(folder)
        files += [Path(parent, name) for name in names]
    return sorted(files)


def _metadata_files(files: list[Path], base: Path, report: ReadReport) -> list[Path]:
    tables = [path for path in files if path.name in ("metadata.jsonl", "metadata.csv")]
    kept = []
    for path in tables:
        if not _is_inside(path, base):
            report.add("unsafe path", path, "a link that leads out of the folder")
        elif path.is_file() and not (
            path.suffix == ".csv" and path.with_suffix(".jsonl") in tables
        ):
            kept.append(path)  # all others, told as unexpected files: metadata.jsonl goes first
    return kept


def _is_inside(path: Path, base: Path) -> bool:
    try:
        return path.resolve().is_relative_to(base.resolve())
    except (OSError, RuntimeError, ValueError):  # a ring of links, a name too long or with a NUL
        return False


def _json_records(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}:{number}"
            text = decode_text(line, where, report).strip()
            if not text:
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError) as error:
                report.add("damaged record", where, f"not JSON: {error}")
                continue
            if isinstance(record, dict):
                yield where, record
            else:
                report.add("damaged record", where, "not a JSON object")


def _csv_records(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    text = decode_text(path.read_bytes(), path, report)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "file_name" not in (reader.fieldnames or ()):
        raise DataFormatError(f"{path} has no column file_name; it has {reader.fieldnames}")
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            report.add("damaged record", f"{path}:{reader.reader.line_num}", str(error))
            continue
        where = f"{path}:{reader.line_num}"
        if None in record:
            report.add("damaged record", where, "more fields than the header has columns")
        else:
            yield where, record


def _image_path(
    base: Path,
    table: Path,
    record: dict[str, Any],
    where: str,
    on_disk: set[Path],
    report: ReadReport,
) -> Path | None:
    """The picture that a record names, if it is a file inside the folder."""
    name = record.get("file_name")
    if not isinstance(name, str) or not _is_clean(name) or not name.strip():
        report.add("damaged record", where, "file_name is not a file name")
        return None
    path = table.parent / name
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts or not _is_inside(path, base):
        report.add("unsafe path", where, f"{name} leads out of the folder")
        return None
    if path not in on_disk:
        report.add("missing image", where, name)
        return None
    return path


def _item(
    base: Path, image: Path, record: dict[str, Any], where: str, report: ReadReport
) -> _Item | None:
    texts = next((record[key] for key in TEXT_KEYS if record.get(key) is not None), None)
    if texts is None:
        report.add("missing text", where, f"none of {', '.join(TEXT_KEYS)}")
        return None
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(t, str) and _is_clean(t) for t in texts):
        report.add("damaged record", where, "the sentences are not text")
        return None
    sentences = tuple(text.strip() for text in texts if text.strip())
    if not sentences:
        report.add("empty text", where)
        return None
    label = record.get("label")
    if not isinstance(label, str | int | None) or not _is_clean(str(label)):
        report.add("damaged record", where, "the label is neither text nor a whole number")
        label = None
    label = None if label is None else str(label).strip() or None
    return _Item(image.relative_to(base).as_posix(), image, sentences, label)


def _is_clean(text: str) -> bool:
    """No NUL and no lone surrogate: the text can be written to a file and read again."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
