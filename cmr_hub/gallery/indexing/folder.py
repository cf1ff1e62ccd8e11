"""What a folder offers: its pictures, and what lies beside them and tells of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmr_hub.datasets.metadata import (
    IMAGE_ENDINGS,
    TEXT_KEYS,
    is_inside,
    metadata_files,
    picture_path,
    record_label,
    record_sentences,
    records,
    walk,
)
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import read_text, split_lines
from cmr_hub.errors import DataNotFoundError
from cmr_hub.gallery.indexing.entry import RESERVED, Entry, Place
from cmr_hub.gallery.indexing.shards import shard_entries
from cmr_hub.gallery.items import COLUMNS, MODALITY

_KNOWN = {*COLUMNS, *TEXT_KEYS, *RESERVED, MODALITY, "file_name", "image"}


@dataclass(frozen=True)
class Told:
    """What is said of a picture."""

    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def folder_entries(base: Path, report: ReadReport) -> Iterator[Entry]:
    """All pictures below a folder, in the order of their paths.

    Hidden files and folders are skipped, links to folders not followed, names that lead out of
    the folder refused. What a metadata.jsonl, .csv or .parquet says of a picture is taken, else
    what `name.json` (a record like one of those) or `name.txt` (a sentence a line) beside
    `name.jpg` says. Tar files are read as WebDataset shards.

    Raises:
        DataNotFoundError: there is no such folder.
        DataFormatError: a metadata table without a column `file_name`.
    """
    base = base.expanduser().absolute()
    if not base.is_dir():
        raise DataNotFoundError(f"{base} is not a folder")
    files = [path for path in walk(base, report) if not path.name.startswith(".")]
    told = _tables(files, base, report)
    names = set(files)
    for path in files:
        ending = path.suffix.lower()
        if ending not in IMAGE_ENDINGS and ending != ".tar":
            continue
        if not is_inside(path, base):
            report.add("unsafe path", path, "a link that leads out of the folder")
            continue
        folder = path.parent.relative_to(base).as_posix()
        folder = "" if folder == "." else folder
        try:
            status = path.stat()
        except OSError as error:
            report.add("broken image", path, str(error))
            continue
        if ending == ".tar":
            yield from shard_entries(path, folder, status.st_mtime_ns, report)
            continue
        words = told[path] if path in told else _sidecar(path, names, report)
        yield Entry(
            path,
            Place(path),
            status.st_size,
            status.st_mtime_ns,
            folder,
            words.sentences,
            words.label,
            words.metadata,
        )


def told_by(record: Mapping[str, Any], where: str, report: ReadReport) -> Told:
    """A record of metadata as sentences, label and further columns."""
    metadata = {
        name: value
        for name, value in record.items()
        if name not in _KNOWN and isinstance(value, str | int | float | bool)
    }
    plain = dict(record)
    return Told(
        record_sentences(plain, where, report), record_label(plain, where, report), metadata
    )


def _tables(files: list[Path], base: Path, report: ReadReport) -> dict[Path, Told]:
    told: dict[Path, Told] = {}
    on_disk = set(files)
    for table in metadata_files(files, base, report):
        for where, record in records(table, report):
            path = picture_path(base, table, record, where, on_disk, report)
            if path is None:
                continue
            if path in told:
                report.add("duplicate id", where, str(path))
            else:
                told[path] = told_by(record, where, report)
    return told


def _sidecar(path: Path, names: set[Path], report: ReadReport) -> Told:
    for ending, read in ((".json", _json_sidecar), (".txt", _text_sidecar)):
        beside = path.with_suffix(ending)
        if beside in names:
            text = read_text(beside, report)
            return Told() if text is None else read(text, beside, report)
    return Told()


def _json_sidecar(text: str, path: Path, report: ReadReport) -> Told:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        report.add("damaged record", path, f"not JSON: {error}")
        return Told()
    if not isinstance(record, dict):
        report.add("damaged record", path, "not a JSON object")
        return Told()
    return told_by(record, str(path), report)


def _text_sidecar(text: str, path: Path, report: ReadReport) -> Told:
    return Told(split_lines(text))
