"""A picture or a video found by a source, with its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """The location of a picture's bytes: a file, or a part of one."""

    file: Path
    offset: int = 0
    size: int | None = None
    """Number of bytes; None for the rest of the file."""
    time: float | None = None
    """Seconds of a frame, if the file is a video."""
    sha256: str = ""
    """SHA-256 of the file with the time of the frame, if it is a video."""


@dataclass(frozen=True)
class Entry:
    """One picture, frame of a video, or whole video that was found.

    Attributes:
        path: absolute path; `…/shard.tar/name.jpg` for a picture in a shard.
        place: location of its bytes.
        size: number of bytes.
        modified: modification time of its file in nanoseconds since 1970. If it and `size` are
            unchanged, the picture is assumed to be unchanged too.
        folder: its folder, relative to the indexed one; "" for the indexed folder itself.
        sentences, label, metadata: its annotations.
        is_video: whether it is a whole video, to be replaced by its frames.
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
    """Return the time in UTC, without a time zone, so that it compares with plain dates."""
    return datetime(1970, 1, 1) + timedelta(microseconds=nanoseconds // 1000)


def is_time(stored: object, nanoseconds: int) -> bool:
    """Return whether a stored time is this one; some stores and versions store another type."""
    return str(stored) in (str(time_of(nanoseconds)), str(nanoseconds))
