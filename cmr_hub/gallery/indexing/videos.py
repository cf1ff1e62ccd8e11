"""Replace videos by their frames, which are indexed as pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.videos import Video, frame_suffix
from cmr_hub.errors import ImageError, shown
from cmr_hub.gallery.indexing.entry import Entry, Place, is_time
from cmr_hub.gallery.items import SCENES, TIME, VIDEO

if TYPE_CHECKING:
    from cmr_hub.gallery.store import Store

_COLUMNS = (VIDEO, TIME, SCENES)


@dataclass
class _Known:
    """Known frames of a video."""

    frames: set[str] = field(default_factory=set)
    """Suffixes of the paths of the frames, including frames that were removed from the gallery."""
    scenes: int | None = None
    """Number of frames, which is more than in `frames` after an interrupted run. None if all frames
    were removed."""


def with_frames(
    found: Sequence[Entry],
    store: Store,
    base: Path,
    report: ReadReport,
    *,
    workers: int | None = None,
    progress: bool = False,
) -> list[Entry]:
    """Replace each video by its frames at scene changes; see `datasets.videos`.

    A video is not read if its size and modification time are unchanged. It is not decoded if its
    content is known, even under another path.

    Args:
        found: entries, some of which may be videos.
        store: storage of the gallery.
        base: the indexed folder.
        report: collects the skipped videos.
        workers: number of threads. Default: one per two cores.
        progress: show a progress bar.
    """
    videos = [entry for entry in found if entry.is_video]
    if not videos:
        return list(found)
    contents, by_path = _known(store, {entry.size for entry in videos})

    def read(entry: Entry) -> tuple[str, list[str]] | str:
        """Return the SHA-256 of a video and the suffixes of its frames, or an error message."""
        modified, digest = by_path.get((entry.path.as_posix(), entry.size), (None, ""))
        try:
            if not digest or not is_time(modified, entry.modified):
                with entry.path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            known = contents.get(digest)
            if known is not None and known.scenes in (None, len(known.frames)):
                return digest, sorted(known.frames, key=_seconds)
            with Video(entry.path) as video:
                return digest, list(map(frame_suffix, video.scenes()))
        except (OSError, ImageError) as error:
            return str(error) or type(error).__name__

    pool = ThreadPoolExecutor(workers or max(1, (os.cpu_count() or 1) // 2))
    try:
        bar = tqdm(
            pool.map(read, videos),
            total=len(videos),
            desc="finding scenes",
            unit="video",
            disable=None if progress else True,
        )
        results = dict(zip((entry.path for entry in videos), bar, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
    entries: list[Entry] = []
    for entry in found:
        if not entry.is_video:
            entries.append(entry)
        elif isinstance(result := results[entry.path], str):
            report.add("broken image", entry.path, result)
        else:
            entries += _frames(entry, base, report, *result)
    return entries


def _known(
    store: Store, sizes: set[int]
) -> tuple[dict[str, _Known], dict[tuple[str, int], tuple[object, str]]]:
    """Return known videos with these sizes by SHA-256, and time and SHA-256 by path and size."""
    contents: dict[str, _Known] = {}
    by_path: dict[tuple[str, int], tuple[object, str]] = {}
    for row in (*store.table_sized(sizes).to_pylist(), *store.dismissed.to_pylist()):
        digest, mark, seconds = (row["sha256"] or "").partition("#t=")
        if not mark:
            continue
        known = contents.setdefault(digest, _Known())
        known.frames.add(f"{mark}{seconds}")
        if row.get(SCENES) is not None:
            known.scenes = int(row[SCENES])
            path = row["path"].rpartition("#t=")[0]
            by_path[path, row["size"]] = row["modified"], digest
    return contents, by_path


def _frames(
    entry: Entry, base: Path, report: ReadReport, digest: str, suffixes: Sequence[str]
) -> Iterator[Entry]:
    metadata = {}
    for name, value in entry.metadata.items():
        metadata[f"metadata_{name}" if name in _COLUMNS else name] = value
        if name in _COLUMNS:
            detail = f"the column {shown(name)} of videos is stored as metadata_{name}"
            report.add_once("changed column", entry.path, detail)
    metadata |= {VIDEO: entry.path.relative_to(base).as_posix(), SCENES: len(suffixes)}
    for suffix in suffixes:
        yield replace(
            entry,
            path=entry.path.with_name(f"{entry.path.name}{suffix}"),
            place=Place(entry.path, time=_seconds(suffix), sha256=f"{digest}{suffix}"),
            metadata=metadata | {TIME: _seconds(suffix)},
            is_video=False,
        )


def _seconds(suffix: str) -> float:
    return float(suffix.removeprefix("#t="))
