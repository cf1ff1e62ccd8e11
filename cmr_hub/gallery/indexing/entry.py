"""A picture found by a source, with its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """The location of a picture's bytes: a file, or a part of one."""

    file: Path
    offset: int = 0
    size: int | None = None
    """Number of bytes; None for the rest of the file."""


@dataclass(frozen=True)
class Entry:
    """One picture that was found.

    Attributes:
        path: absolute path; `…/shard.tar/name.jpg` for a picture in a shard.
        place: location of its bytes.
        size: number of bytes.
        modified: modification time of its file in nanoseconds since 1970. If it and `size` are
            unchanged, the picture is assumed to be unchanged too.
        folder: its folder, relative to the indexed one; "" for the indexed folder itself.
        sentences, label, metadata: its annotations.
    """

    path: Path
    place: Place
    size: int
    modified: int
    folder: str
    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
