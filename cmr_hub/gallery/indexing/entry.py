"""A picture that a source offers to a gallery, with all that the source says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where the bytes of a picture are: a file, or a part of one."""

    file: Path
    offset: int = 0
    size: int | None = None
    """None: to the end of the file."""


@dataclass(frozen=True)
class Entry:
    """One picture that was found.

    Attributes:
        path: absolute; of a picture in a shard `…/shard.tar/name.jpg`.
        place: its bytes.
        size: how many bytes.
        modified: of its file, in nanoseconds. Where this and `size` are as before, the picture is
            taken to be as before too.
        folder: where it is, relative to the folder that is indexed; "" for that itself.
        sentences, label, metadata: what is said of it.
    """

    path: Path
    place: Place
    size: int
    modified: int
    folder: str
    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
