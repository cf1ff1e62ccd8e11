"""Tables of metadata for pictures, in Hugging Face's ImageFolder format."""

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
"""Extensions of videos, which are known by their content."""
TABLES = tuple(f"metadata.{ending}" for ending in ("jsonl", "json", "csv", "tsv", "parquet"))


@dataclass(frozen=True)
class Annotations:
    """Sentences, label and further columns of a picture.

    Attributes:
        place: where they were read, for messages.
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
    """Return all files in the folder, sorted, except those in hidden and linked folders.

    Args:
        base: the folder.
        report: collects what is passed over.
        excluded: whether a file or folder, given with `is_folder`, is left out.
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
            # A folder inside is read under its own name, and a folder above would never end.
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
    """Return the tables among the files, of each folder in the order of `TABLES`."""
    found = []
    for path in files:
        if path.name.lower() not in TABLES:
            continue
        if not is_inside(path, base):
            report.add("unsafe path", path, "a link that leads out of the folder")
        elif path.is_file():
            found.append(path)
        else:
            report.add("unread table", path, "it is not a regular file")
    return sorted(found, key=lambda path: (path.parent, TABLES.index(path.name.lower())))


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
    """Return what the tables of a folder say of its pictures.

    Several rows of one picture are its captions; a row of one caption that the picture has already
    adds none. Its label and its other columns come from the first row that has them. A file name
    may differ from that of the file in the composition and case of letters, have backslashes, or
    begin with `./` or with the folder's whole path. A table that names no picture is passed over,
    with its reason in the report.

    The tables `given` may be anywhere, and name a picture by the end of its path, if it is the only
    one: `val/1.jpg`, or `1.jpg`. What they say takes precedence.

    Raises DataNotFoundError if one of the tables `given` does not exist.
    """
    for table in given:
        if not table.is_file():
            raise DataNotFoundError(f"{table} is not a file: give a table of metadata")
    find, find_end = _finder(files, base), _end_finder(files)
    found: dict[Path, Annotations] = {}
    for table in (*given, *tables):
        own, rows, named, reason = ReadReport(), 0, 0, ""
        try:
            for place, record in table_rows(table, own):
                rows += 1
                finds = find_end if table in given else find
                path = finds(table, record.get(FILE_NAME), place, own)
                if path is None:
                    continue
                named += 1
                new = annotations_of(record, place, own)
                found[path] = _merged(found[path], new) if path in found else new
        except (OSError, DataFormatError) as error:
            reason = str(error)
        report.take(own, [] if named else ["damaged record"])
        if named:
            if reason:
                report.add("damaged record", table, reason)
            continue
        told = [problem for problem in own if problem.kind != "repaired encoding"]
        reason = reason or (told[0].detail if told else "it has no rows")
        if rows:
            reason = f"none of its {rows:,} rows names a picture of the folder: {reason}"
        report.add("unread table", table, reason)
    return found


def _finder(files: Sequence[Path], base: Path) -> _Find:
    """Return a function that finds the picture that a row of a table names, or reports why not."""
    on_disk = set(files)
    alike: dict[str, list[Path]] = {}
    for path in files:
        alike.setdefault(plain(path), []).append(path)

    def find(table: Path, name: object, place: str, report: ReadReport) -> Path | None:
        if not isinstance(name, str) or not is_clean(name) or not name.strip():
            reason = f"no {FILE_NAME}" if name is None else f"{FILE_NAME} is not a file name"
            report.add("damaged record", place, reason)
            return None
        for own in dict.fromkeys((name, name.strip().replace("\\", "/"))):
            path = table.parent / own
            is_below = path in on_disk or not PurePath(own).is_absolute()
            is_below = is_below and ".." not in PurePath(own).parts
            found = [path] if path in on_disk else alike.get(plain(path), [])
            one = found[0] if len(found) == 1 else path
            if not is_below or not is_inside(one, base):
                break
            if len(found) == 1:
                return one
        else:
            report.add("missing image", place, name)
            return None
        report.add("unsafe path", place, f"{name} leads out of the folder")
        return None

    return find


def _end_finder(files: Sequence[Path]) -> _Find:
    """Return a function that finds a picture by as much of the end of its path as is given."""
    alike: dict[str, list[str]] = {}
    paths = {path.as_posix(): path for path in files}
    for path in paths:
        alike.setdefault(plain(path.rpartition("/")[2]), []).append(path)

    def find(table: Path, name: object, place: str, report: ReadReport) -> Path | None:
        if not isinstance(name, str) or not is_clean(name) or not name.strip():
            report.add("damaged record", place, f"{FILE_NAME} is not a file name")
            return None
        own = plain(name.strip().replace("\\", "/").removeprefix("./"))
        same = alike.get(own.rpartition("/")[2], [])
        # An absolute path, or one below another folder, is of the machine that wrote the table.
        for end in (own, *(own[at + 1 :] for at, sign in enumerate(own) if sign == "/")):
            found = [path for path in same if f"/{plain(path)}".endswith(f"/{end}")]
            if len(found) == 1:
                return paths[found[0]]
            if found:
                report.add("damaged record", place, f"{name} may be any of {len(found)} pictures")
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
    """Return what a record says of its picture; missing values (None and NaN) say nothing."""
    said = {name: value for name, value in record.items() if not _is_missing(value)}
    key = next((key for key in TEXT_KEYS if key in said), None)
    if key is None:
        report.add("missing text", place, f"none of {', '.join(TEXT_KEYS)}")
    return Annotations(
        () if key is None else _sentences(said[key], place, report),
        _label(said.get("label"), place, report),
        {name: value for name, value in said.items() if name not in (FILE_NAME, key, "label")},
        place,
    )


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sentences(given: object, place: str, report: ReadReport) -> tuple[str, ...]:
    texts = given if isinstance(given, list | tuple) else [given]
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
        label = int(label)  # as pandas writes whole numbers, some of which are missing
    if not isinstance(label, str | int | None) or not is_clean(str(label)):
        report.add("damaged record", place, "the label is neither text nor a whole number")
        return None
    return None if label is None else str(label).strip() or None


def is_clean(text: str) -> bool:
    """Return whether a text has no NUL and no lone surrogate, so that a file can store it."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
