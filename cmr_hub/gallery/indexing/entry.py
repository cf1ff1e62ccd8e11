"""A picture or video in a folder, with its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """Location of the bytes of a picture, which are a file or a part of a file."""

    file: Path
    offset: int = 0
    size: int | None = None
    """Number of bytes; None for the rest of the file."""
    time: float | None = None
    """Time of the frame in seconds, if the file is a video."""
    sha256: str = ""
    """SHA-256 of the file, followed by the time of the frame, if the file is a video."""


@dataclass(frozen=True)
class Entry:
    """A picture, a frame of a video, or a video in a folder.

    Attributes:
        path: absolute path; `…/shard.tar/name.jpg` for a picture in a shard.
        place: location of the bytes.
        size: number of bytes.
        modified: modification time of the file in nanoseconds since 1970. If `modified` and `size`
            are unchanged, the content is assumed to be unchanged.
        folder: folder relative to the indexed folder; "" for the indexed folder itself.
        sentences, label, metadata: annotations.
        is_video: whether this is a video, which is replaced by its frames.
    """

    path: Path
    place: Place
    size: int
    modified: int
    folder: str
    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_video: bool = False


def time_of(nanoseconds: int) -> datetime:
    """Convert nanoseconds since 1970 to a naive UTC time, which can be compared with dates."""
    return datetime(1970, 1, 1) + timedelta(microseconds=nanoseconds // 1000)


def is_time(stored: object, nanoseconds: int) -> bool:
    """Return whether a stored time equals this one. Some stores and versions use other types."""
    return str(stored) in (str(time_of(nanoseconds)), str(nanoseconds))
