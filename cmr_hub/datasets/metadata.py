"""Tables of metadata for pictures, in Hugging Face's ImageFolder format."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import decode_text
from cmr_hub.errors import DataFormatError
from cmr_hub.outside import check_file

TEXT_KEYS = ("captions", "caption", "text")
IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".gif"),
    *(".bmp", ".dib", ".tif", ".tiff", ".avif", ".avifs", ".heic", ".heif", ".heics", ".hif"),
    *(".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".j2c", ".qoi", ".tga", ".dds", ".pcx", ".sgi"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    # raw formats of cameras
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".orf", ".raf"),
    *(".rw2", ".rwl", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".mrw", ".x3f", ".erf", ".kdc"),
)
UNREAD_ENDINGS = (
    *(".jxl", ".svg", ".svgz", ".psd", ".psb", ".xcf", ".ai", ".eps", ".ico", ".icns", ".pdf"),
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".wmv", ".mts"),
)
"""Extensions of pictures and videos in formats that are not supported."""
TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""The first one in a folder is read."""
_LARGEST = 8 * 2**30


def walk(base: Path, report: ReadReport) -> list[Path]:
    """Return all files in the folder, sorted, except those in hidden and linked folders."""
    files: list[Path] = []

    def note(error: OSError) -> None:
        report.add("unreadable folder", error.filename, error.strerror or "")

    for parent, folders, names in os.walk(base, onerror=note):
        here = Path(parent)
        for folder in sorted(folders):
            path = here / folder
            if path.is_symlink():
                report.add("unsafe path", path, "a link to a folder is not followed")
            elif folder.startswith("."):
                report.add("unexpected file", path, "a hidden folder is not read")
                folders.remove(folder)
        files += [here / name for name in names]
    return sorted(files)


def metadata_files(files: list[Path], base: Path, report: ReadReport) -> list[Path]:
    """Return the tables among the files, one per folder."""
    chosen: dict[Path, Path] = {}
    for name in TABLES:
        for path in files:
            if path.name != name:
                continue
            if not is_inside(path, base):
                report.add("unsafe path", path, "a link that leads out of the folder")
            elif path.is_file():
                chosen.setdefault(path.parent, path)
    return sorted(chosen.values())


def is_inside(path: Path, base: Path) -> bool:
    """Return whether a path, with its links resolved, is in a folder."""
    try:
        return path.resolve().is_relative_to(base.resolve())
    except (OSError, RuntimeError, ValueError):  # a cycle of links, a long name, or a NUL
        return False


def records(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of a table, each with its location for messages.

    Raises:
        DataFormatError: The table has no column `file_name`, or is not a table.
    """
    try:
        check_file(path, _LARGEST)
    except OSError as error:
        raise DataFormatError(f"{path} is not read: {error}") from error
    readers = {".jsonl": _json_records, ".csv": _csv_records, ".parquet": _parquet_records}
    yield from readers[path.suffix](path, report)


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
    try:
        names = reader.fieldnames or ()
    except csv.Error as error:
        raise DataFormatError(f"{path} is not a table: {error}") from error
    if "file_name" not in names:
        raise DataFormatError(f"{path} has no column file_name; it has {_some(names)}")
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


def _parquet_records(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        file = ParquetTable(path)
        if "file_name" not in file.schema.names:
            raise DataFormatError(
                f"{path} has no column file_name; it has {_some(file.schema.names)}"
            )
        for record in file.records():
            number += 1
            yield f"{path}:{number}", record
    except OSError as error:
        report.add("damaged record", f"{path}:{number + 1}", str(error))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names)[:200] or "none"


def picture_path(
    base: Path,
    table: Path,
    record: dict[str, Any],
    where: str,
    on_disk: set[Path],
    report: ReadReport,
) -> Path | None:
    """Return the path of a record's picture, if it is a file in the folder."""
    name = record.get("file_name")
    if not isinstance(name, str) or not is_clean(name) or not name.strip():
        report.add("damaged record", where, "file_name is not a file name")
        return None
    path = table.parent / name
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts or not is_inside(path, base):
        report.add("unsafe path", where, f"{name} leads out of the folder")
        return None
    if path not in on_disk:
        report.add("missing image", where, name)
        return None
    return path


def record_sentences(record: dict[str, Any], where: str, report: ReadReport) -> tuple[str, ...]:
    """Return the sentences of a record: the first existing column of `TEXT_KEYS`."""
    texts = next((record[key] for key in TEXT_KEYS if record.get(key) is not None), None)
    if texts is None:
        report.add("missing text", where, f"none of {', '.join(TEXT_KEYS)}")
        return ()
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(t, str) and is_clean(t) for t in texts):
        report.add("damaged record", where, "the sentences are not text")
        return ()
    sentences = tuple(text.strip() for text in texts if text.strip())
    if not sentences:
        report.add("empty text", where)
    return sentences


def record_label(record: dict[str, Any], where: str, report: ReadReport) -> str | None:
    """Return the class of a record's picture."""
    label = record.get("label")
    if not isinstance(label, str | int | None) or not is_clean(str(label)):
        report.add("damaged record", where, "the label is neither text nor a whole number")
        return None
    return None if label is None else str(label).strip() or None


def is_clean(text: str) -> bool:
    """Return whether a text has no NUL and no lone surrogate, so that a file can store it."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
