"""Find the pictures and videos in a folder, with their annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import Literal
from unicodedata import normalize

from cmr_hub.datasets.images import looks_like_picture
from cmr_hub.datasets.metadata import (
    IMAGE_ENDINGS,
    TABLES,
    UNREAD_ENDINGS,
    VIDEO_ENDINGS,
    Annotations,
    is_clean,
    is_inside,
    metadata_files,
    picture_annotations,
    walk,
)
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import read_text, split_lines
from cmr_hub.datasets.videos import START_BYTES, video_format
from cmr_hub.errors import DataNotFoundError
from cmr_hub.gallery.indexing.annotations import annotations_of, json_record, storable
from cmr_hub.gallery.indexing.entry import Entry, Place
from cmr_hub.gallery.indexing.exclude import Excluded
from cmr_hub.gallery.indexing.shards import shard_entries


def folder_entries(
    base: Path,
    report: ReadReport,
    excluded: Excluded,
    *,
    follow_links: bool = False,
    metadata: Sequence[Path] = (),
) -> Iterator[Entry]:
    """Yield all pictures and videos below a folder, sorted by path.

    Files with another extension, or without one, are recognised by their first bytes. Hidden files
    and folders are skipped, links to folders are not followed, and names that lead out of the
    folder are refused. Annotations of `name.jpg` come from tables (see `picture_annotations`), or
    from `name.json` (a record as in a table) or `name.txt` (one sentence per line) in the same
    folder. Tar files are read as WebDataset shards.

    Args:
        base: the folder.
        report: collects the skipped files.
        excluded: predicate for files and folders that are excluded.
        follow_links: follow links to folders, and links that lead out of the folder.
        metadata: further tables from any folder; see `picture_annotations`.

    Raises:
        DataNotFoundError: the folder or a table of `metadata` does not exist.
    """
    base = base.expanduser().absolute()
    if not base.is_dir():
        raise DataNotFoundError(f"{base} is not a folder: give a folder of pictures")
    files = _visible(walk(base, report, excluded, follow_links=follow_links), report)
    # If links are followed, all files on this machine are allowed.
    inside = Path(base.anchor) if follow_links else base
    tables = metadata_files(files, inside, report)
    annotations = picture_annotations(files, inside, report, tables=tables, given=metadata)
    sidecars = {path for path in files if path.suffix in _SIDECARS}
    texts = {path for path in files if path.name.lower() in TABLES} | sidecars | set(metadata)
    folders: dict[Path, str] = {}
    for path in files:
        ending = path.suffix.lower()
        if path in texts:
            continue
        if why := _unread(path):
            report.add("unread format", path, why)
            continue
        if not is_clean(str(path)):
            # A gallery stores names as UTF-8.
            shown = os.fsencode(path).decode(errors="replace")
            report.add("unsafe path", shown, "the name is not UTF-8: rename it")
            continue
        try:
            status = path.lstat()
            if S_ISLNK(status.st_mode):
                if not is_inside(path, inside):
                    report.add("unsafe path", path, "a link that leads out of the folder")
                    continue
                status = path.stat()
            kind = _kind(path, status.st_mode)
            if kind is None:
                is_video = path.suffix.lower() in VIDEO_ENDINGS
                what = "a video that can be read" if is_video else "a picture"
                report.add("not a picture", path, f"it is not {what}")
                continue
        except OSError as error:
            report.add("broken image", path, error.strerror or str(error))
            continue
        parent = path.parent
        if parent not in folders:
            # To NFC, because names may be decomposed on macOS and conditions must still match.
            folder = normalize("NFC", parent.relative_to(base).as_posix())
            folders[parent] = "" if folder == "." else folder
        folder = folders[parent]
        if ending == ".tar":
            yield from shard_entries(path, folder, status.st_mtime_ns, report)
            continue
        from_table = annotations.get(path)
        own = storable(from_table, report) if from_table else _sidecar(path, sidecars, report)
        yield Entry(
            path,
            Place(path),
            status.st_size,
            status.st_mtime_ns,
            folder,
            own.sentences,
            own.label,
            own.metadata,
            kind == "video",
        )


def _visible(found: Iterable[Path], report: ReadReport) -> list[Path]:
    files = []
    for path in found:
        if not path.name.startswith("."):
            files.append(path)
        elif path.suffix.lower() in IMAGE_ENDINGS:
            report.add("unexpected file", path, "hidden files are not read")
    return files


def _unread(path: Path) -> str:
    """Return the reason why a file with this name is not read, or "" if it is read."""
    ending = path.suffix.lower()
    if ending in UNREAD_ENDINGS:
        return "the format is not supported"
    if ending == ".tgz" or (ending in _COMPRESSED and path.stem.lower().endswith(".tar")):
        return "it is compressed: unpack it to a .tar file"
    return ""


def _kind(path: Path, mode: int) -> Literal["picture", "video"] | None:
    """Return the kind of a file by its extension or first bytes; a shard counts as a picture."""
    if path.suffix.lower() in (*IMAGE_ENDINGS, ".tar"):
        return "picture"
    if not S_ISREG(mode):
        return None
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if looks_like_picture(start):
        return "picture"
    return None if video_format(start) is None else "video"


def _sidecar(path: Path, sidecars: set[Path], report: ReadReport) -> Annotations:
    for ending, read in _SIDECARS.items() if sidecars else ():
        sidecar = path.with_suffix(ending)
        if sidecar in sidecars:
            text = read_text(sidecar, report)
            return Annotations() if text is None else read(text, sidecar, report)
    return Annotations()


def _json_sidecar(text: str, path: Path, report: ReadReport) -> Annotations:
    record = json_record(text, str(path), report)
    return annotations_of(record, str(path), report) if record else Annotations()


def _text_sidecar(text: str, path: Path, report: ReadReport) -> Annotations:
    return Annotations(split_lines(text))


_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_SIDECARS = {".json": _json_sidecar, ".txt": _text_sidecar}
