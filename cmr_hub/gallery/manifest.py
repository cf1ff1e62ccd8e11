"""Manifest of a gallery directory: its files with their checksums."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cmr_hub.atomic import atomic_file
from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import ModelFormatError
from cmr_hub.outside import MOST_BYTES, check_file, read_json
from cmr_hub.types import Modality

FORMAT_VERSION: Literal[2] = 2
FILE_NAME = "manifest.json"
FILE_PATTERN = re.compile(r"[a-z]+(-[0-9a-f]{16})?\.(safetensors|parquet)")
CHECKED_WHOLE = 64 * 2**20
"""Maximum size of files that are verified when a gallery is opened. `cmr gallery verify` verifies
all files."""

_CONFIG = ConfigDict(strict=True, extra="forbid", frozen=True)


class FileRecord(BaseModel):
    """Checksum and size of a file."""

    model_config = _CONFIG

    sha256: str
    bytes: int | None = Field(ge=0)
    """None in galleries of format 1."""


class SegmentRecord(BaseModel):
    """Rows that were written together."""

    model_config = _CONFIG

    items: str
    vectors: str
    count: int = Field(ge=1)
    root: str | None
    """Folder of the relative paths of items: absolute, or relative to the gallery directory."""


class GraphRecord(BaseModel):
    """The approximate index of one modality."""

    model_config = _CONFIG

    file: str
    segments: int = Field(ge=1)
    """Number of first segments whose vectors are in the graph."""


class Manifest(BaseModel):
    """Content of `manifest.json`, except its own `sha256`.

    All other files are immutable, so replacing this file changes the gallery atomically. Readers of
    the old manifest continue to read the files that it lists.
    """

    model_config = _CONFIG

    format_version: Literal[2]
    model_id: str
    """`CrossModalModel.fingerprint` of the model that made the vectors."""
    model_name: str | None
    """The name under which `cmr_hub.load` finds the model."""
    dim: int | None = Field(ge=1)
    """None if there are no vectors."""
    count: int = Field(ge=0)
    """Number of rows that were not removed."""
    vectors: dict[Modality, int]
    """Number of vectors of these rows."""
    segments: list[SegmentRecord]
    removed: str | None
    """File with the numbers of removed rows, which count through all segments."""
    graphs: dict[Modality, GraphRecord]
    files: dict[str, FileRecord]
    neutral: str | None = None
    """File with the scores of neutral sentences (`clear.Neutral`); missing in older galleries."""
    dismissed: str | None = None
    """File with the removed pictures, which indexing skips."""

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        for name in files:
            if not FILE_PATTERN.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a gallery file")
        return files

    @model_validator(mode="after")
    def _listed(self) -> Self:
        """Refuse files without a checksum. Together with `_inside`, also refuse files elsewhere."""
        names = {name for part in self.segments for name in (part.items, part.vectors)}
        names |= {graph.file for graph in self.graphs.values()}
        names |= {name for name in (self.removed, self.neutral, self.dismissed) if name is not None}
        if not names <= self.files.keys():
            raise ValueError(f"{min(names - self.files.keys())!r} has no checksum")
        return self

    def write(self, directory: Path) -> None:
        """Replace the manifest of a directory."""
        # Defaults are omitted, so that older releases can read a manifest without them.
        content = self.model_dump(exclude_defaults=True)
        content["sha256"] = _digest(content)
        with atomic_file(directory / FILE_NAME) as file:
            file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Read and validate `manifest.json`, but not the files that it lists.

        Raises:
            ModelFormatError: the file is missing or damaged, or has an unsupported version.
        """
        path = directory / FILE_NAME
        try:
            content = read_json(path, below=directory)
        except FileNotFoundError as error:
            raise ModelFormatError(
                f"{directory} is not a gallery: it has no {FILE_NAME}"
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise ModelFormatError(f"{path} is damaged: {error}") from error
        if not isinstance(content, dict):
            raise ModelFormatError(f"{path} is damaged: it is not a JSON object")
        version = content.get("format_version")
        if version not in (1, FORMAT_VERSION):
            raise ModelFormatError(
                f"{path} has format version {version}, this release reads up to "
                f"{FORMAT_VERSION}: index again, or use the release that wrote it"
            )
        sha256 = content.pop("sha256", None)
        if sha256 != _digest(content):
            raise ModelFormatError(f"{path} is damaged: it does not match its own checksum")
        try:
            return cls.model_validate(_of_format_1(content) if version == 1 else content)
        except (ValidationError, KeyError, TypeError, AttributeError) as error:
            raise ModelFormatError(f"{path} is not the manifest of a gallery: {error}") from error

    def check(self, directory: Path, *, whole: bool = False) -> None:
        """Verify the checksums of small files, or of all files if `whole`.

        Raises:
            FileNotFoundError: a file is missing.
            ModelFormatError: a file cannot be read, is damaged, or links out of the directory; the
                message names the file.
        """
        total = 0
        for name, record in self.files.items():
            path = directory / name
            try:
                size = check_file(path, below=directory)
                total += size
                same = record.bytes in (None, size) and (
                    (size > CHECKED_WHOLE and not whole) or sha256_of_file(path) == record.sha256
                )
            except FileNotFoundError:
                raise
            except OSError as error:
                raise ModelFormatError(f"{path} cannot be read: {error}") from error
            if total > MOST_BYTES:
                raise ModelFormatError(f"{directory} has more than {MOST_BYTES:,} bytes")
            if not same:
                raise ModelFormatError(
                    f"{path} is damaged: it does not match its checksum in {FILE_NAME}; "
                    "make a new gallery with `cmr index`"
                )


def holds_gallery(directory: Path) -> bool:
    """Return whether a directory has a manifest, valid or not."""
    return (directory / FILE_NAME).is_file()


def _of_format_1(content: dict[str, Any]) -> dict[str, Any]:
    """Convert a manifest of format 1, which had one segment in two files of fixed names."""
    count, names = content["count"], ("items.parquet", "embeddings.safetensors")
    segment = {"items": names[0], "vectors": names[1], "count": count, "root": content["root"]}
    return {
        "format_version": FORMAT_VERSION,
        "model_id": content["model_id"],
        "model_name": None,
        "dim": content["dim"],
        "count": count,
        "vectors": dict.fromkeys(content["targets"], count),
        "segments": [segment] if count else [],
        "removed": None,
        "graphs": {},
        "files": {
            name: {"sha256": content["files"][name], "bytes": None} for name in names if count
        },
    }


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
