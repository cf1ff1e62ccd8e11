"""Metadata tables of pictures, in Hugging Face's ImageFolder format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.tables import FILE_NAME, TEXT_KEYS, table_rows
from cmr_hub.errors import DataFormatError, DataNotFoundError
from cmr_hub.paths import plain

_Find: TypeAlias = Callable[[Path, object, str, ReadReport], Path | None]

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
)
"""Extensions of pictures in formats that are not supported."""
VIDEO_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".wmv", ".mts"),
    *(".m2ts", ".flv", ".ogv"),
)
"""Extensions of videos; their formats are detected by content."""
TABLES = tuple(f"metadata.{ending}" for ending in ("jsonl", "json", "csv", "tsv", "parquet"))


@dataclass(frozen=True)
class Annotations:
    """Sentences, label and further columns of a picture.

    Attributes:
        place: file and line that they were read from, for messages.
    """

    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


def walk(
    base: Path,
    report: ReadReport,
    excluded: Callable[[Path, bool], bool] = lambda _path, _is_folder: False,
    *,
    follow_links: bool = False,
) -> list[Path]:
    """Return all files in a folder, sorted, except those in hidden and linked folders.

    Args:
        base: the folder.
        report: collects the folders that are skipped.
        excluded: function of a path and whether it is a folder; returns whether to leave it out.
        follow_links: also read linked folders, each only once.
    """
    files: list[Path] = []
    root = base.resolve()
    seen = {root}

    def note(error: OSError) -> None:
        report.add("unreadable folder", error.filename, error.strerror or "")

    def is_read(path: Path) -> bool:
        if excluded(path, True):
            return False
        if path.name.startswith("."):
            report.add("unexpected file", path, "a hidden folder is not read")
            return False
        if path.is_symlink() and not follow_links:
            report.add("unsafe path", path, "a link to a folder is not followed")
            return False
        if follow_links:
            target = path.resolve()
            # A folder inside is read under its own name; a folder above would recurse forever.
            if target in seen or (path.is_symlink() and target.is_relative_to(root)):
                return False
            seen.add(target)
        return True

    for parent, folders, names in os.walk(base, onerror=note, followlinks=follow_links):
        here = Path(parent)
        folders[:] = [folder for folder in sorted(folders) if is_read(here / folder)]
        files += [path for name in names if not excluded(path := here / name, False)]
    return sorted(files)


def metadata_files(files: list[Path], base: Path, report: ReadReport) -> list[Path]:
    """Return the tables among the files, within each folder in the order of `TABLES`."""
    tables = []
    for path in files:
        if path.name.lower() not in TABLES:
            continue
        if not is_inside(path, base):
            report.add("unsafe path", path, "a link that leads out of the folder")
        elif path.is_file():
            tables.append(path)
        else:
            report.add("unread table", path, "it is not a regular file")
    return sorted(tables, key=lambda path: (path.parent, TABLES.index(path.name.lower())))


def is_inside(path: Path, base: Path) -> bool:
    """Return whether a path, with its links resolved, is in a folder."""
    try:
        return path.resolve().is_relative_to(base.resolve())
    except (OSError, RuntimeError, ValueError):  # a cycle of links, a long name, or a NUL
        return False


def picture_annotations(
    files: Sequence[Path],
    base: Path,
    report: ReadReport,
    *,
    tables: Sequence[Path],
    given: Sequence[Path] = (),
) -> dict[Path, Annotations]:
    """Read the annotations of the pictures in a folder from its tables.

    Several rows of one picture are its captions; repeated captions are dropped. Its label and its
    other columns come from the first row that has them. A file name may differ from that of the
    file in Unicode composition and case, contain backslashes, or begin with `./` or with the full
    path of the folder. A table that lists no picture is skipped, and the reason is reported.

    The tables `given` may be outside the folder, and may list a picture by the end of its path,
    such as `val/1.jpg` or `1.jpg`, if it is unique. Their annotations take precedence.

    Raises DataNotFoundError if one of the tables `given` does not exist.
    """
    for table in given:
        if not table.is_file():
            raise DataNotFoundError(f"{table} is not a file: choose a metadata table")
    find, find_end = _finder(files, base), _end_finder(files)
    annotations: dict[Path, Annotations] = {}
    for table in (*given, *tables):
        table_report, rows, matches, reason = ReadReport(), 0, 0, ""
        find_picture = find_end if table in given else find
        try:
            for place, record in table_rows(table, table_report):
                rows += 1
                path = find_picture(table, record.get(FILE_NAME), place, table_report)
                if path is None:
                    continue
                matches += 1
                new = annotations_of(record, place, table_report)
                annotations[path] = _merged(annotations[path], new) if path in annotations else new
        except (OSError, DataFormatError) as error:
            reason = str(error)
        report.take(table_report, [] if matches else ["damaged record"])
        if matches:
            if reason:
                report.add("damaged record", table, reason)
            continue
        problems = [problem for problem in table_report if problem.kind != "repaired encoding"]
        reason = reason or (problems[0].detail if problems else "it has no rows")
        if rows:
            reason = f"none of its {rows:,} rows names a picture of the folder: {reason}"
        report.add("unread table", table, reason)
    return annotations


def _finder(files: Sequence[Path], base: Path) -> _Find:
    """Return a function that finds the picture of a table row, or reports why there is none."""
    on_disk = set(files)
    by_plain_path: dict[str, list[Path]] = {}
    for path in files:
        by_plain_path.setdefault(plain(path), []).append(path)

    def find(table: Path, name: object, place: str, report: ReadReport) -> Path | None:
        if not isinstance(name, str) or not is_clean(name) or not name.strip():
            reason = f"no {FILE_NAME}" if name is None else f"{FILE_NAME} is not a file name"
            report.add("damaged record", place, reason)
            return None
        for spelling in dict.fromkeys((name, name.strip().replace("\\", "/"))):
            path = table.parent / spelling
            is_below = path in on_disk or not PurePath(spelling).is_absolute()
            is_below = is_below and ".." not in PurePath(spelling).parts
            matches = [path] if path in on_disk else by_plain_path.get(plain(path), [])
            match = matches[0] if len(matches) == 1 else path
            if not is_below or not is_inside(match, base):
                break
            if len(matches) == 1:
                return match
        else:
            report.add("missing image", place, name)
            return None
        report.add("unsafe path", place, f"{name} leads out of the folder")
        return None

    return find


def _end_finder(files: Sequence[Path]) -> _Find:
    """Return a function that finds a picture by the end of its path, of any length."""
    by_name: dict[str, list[str]] = {}
    paths = {path.as_posix(): path for path in files}
    for path in paths:
        by_name.setdefault(plain(path.rpartition("/")[2]), []).append(path)

    def find(table: Path, name: object, place: str, report: ReadReport) -> Path | None:
        if not isinstance(name, str) or not is_clean(name) or not name.strip():
            report.add("damaged record", place, f"{FILE_NAME} is not a file name")
            return None
        key = plain(name.strip().replace("\\", "/").removeprefix("./"))
        candidates = by_name.get(key.rpartition("/")[2], [])
        # The leading folders may exist only on the machine that wrote the table.
        for end in (key, *(key[at + 1 :] for at, sign in enumerate(key) if sign == "/")):
            matches = [path for path in candidates if f"/{plain(path)}".endswith(f"/{end}")]
            if len(matches) == 1:
                return paths[matches[0]]
            if matches:
                report.add("damaged record", place, f"{name} may be any of {len(matches)} pictures")
                return None
        report.add("missing image", place, name)
        return None

    return find


def _merged(first: Annotations, second: Annotations) -> Annotations:
    added = tuple(text for text in second.sentences if text not in first.sentences)
    return replace(
        first,
        sentences=first.sentences + added,
        label=second.label if first.label is None else first.label,
        metadata={**second.metadata, **first.metadata},
    )


def annotations_of(record: Mapping[str, Any], place: str, report: ReadReport) -> Annotations:
    """Return the annotations in a record; missing values (None and NaN) are ignored."""
    values = {name: value for name, value in record.items() if not _is_missing(value)}
    key = next((key for key in TEXT_KEYS if key in values), None)
    if key is None:
        report.add("missing text", place, f"none of {', '.join(TEXT_KEYS)}")
    return Annotations(
        () if key is None else _sentences(values[key], place, report),
        _label(values.get("label"), place, report),
        {name: value for name, value in values.items() if name not in (FILE_NAME, key, "label")},
        place,
    )


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sentences(value: object, place: str, report: ReadReport) -> tuple[str, ...]:
    texts = value if isinstance(value, list | tuple) else [value]
    texts = [text for text in texts if not _is_missing(text)]
    clean = [text for text in texts if isinstance(text, str) and is_clean(text)]
    if len(clean) < len(texts):
        report.add("damaged record", place, f"{len(texts) - len(clean)} sentences are not text")
    sentences = tuple(text.strip() for text in clean if text.strip())
    if not sentences and len(clean) == len(texts):
        report.add("empty text", place)
    return sentences


def _label(label: object, place: str, report: ReadReport) -> str | None:
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # pandas writes whole numbers as floats if some are missing
    if not isinstance(label, str | int | None) or not is_clean(str(label)):
        report.add("damaged record", place, "the label is neither text nor a whole number")
        return None
    return None if label is None else str(label).strip() or None


def is_clean(text: str) -> bool:
    """Return whether a text can be stored in a file, without NUL and lone surrogates."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
