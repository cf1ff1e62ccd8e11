"""The manifest of a saved gallery: what the directory holds and how to tell if it is whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import ModelFormatError

FORMAT_VERSION: Literal[1] = 1
FILE_NAME = "manifest.json"
EMBEDDINGS = "embeddings.safetensors"
ITEMS = "items.parquet"


class Manifest(BaseModel):
    """`manifest.json`, without the `sha256` of itself that it ends with."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format_version: Literal[1]
    model_id: str
    """The model that made the vectors."""
    dim: int = Field(ge=1)
    count: int = Field(ge=0)
    targets: list[Literal["image", "text"]] = Field(min_length=1)
    root: str | None
    """What the paths of the items are relative to: a folder, absolute or as seen from this one."""
    files: dict[str, str]
    """SHA-256 of every other file, by name."""

    def write(self, directory: Path) -> None:
        """Writes `manifest.json` into the directory."""
        content = self.model_dump()
        content["sha256"] = _digest(content)
        (directory / FILE_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Reads and checks `manifest.json`, and that the files it names are whole.

        Raises:
            ModelFormatError: anything is missing, damaged, or of another version.
        """
        path = directory / FILE_NAME
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ModelFormatError(
                f"{directory} is not a gallery: it has no {FILE_NAME}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise ModelFormatError(f"{path} is damaged: {error}") from error
        if not isinstance(content, dict):
            raise ModelFormatError(f"{path} is damaged: it holds no JSON object")
        if content.get("format_version") != FORMAT_VERSION:
            raise ModelFormatError(
                f"{path} has format version {content.get('format_version')}, this release reads "
                f"{FORMAT_VERSION}: index again, or use the release that wrote it"
            )
        sha256 = content.pop("sha256", None)
        if sha256 != _digest(content):
            raise ModelFormatError(f"{path} is damaged: it does not match its own checksum")
        try:
            manifest = cls.model_validate(content)
        except ValidationError as error:
            raise ModelFormatError(f"{path} is not a gallery's manifest: {error}") from error
        for name in (EMBEDDINGS, ITEMS):
            _check_file(directory / name, manifest.files.get(name))
        return manifest


def _check_file(path: Path, expected: str | None) -> None:
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise ModelFormatError(f"{path} is missing or cannot be read: {error}") from error
    if found != expected:
        raise ModelFormatError(
            f"{path} is damaged: it does not match its checksum in {FILE_NAME}; index again"
        )


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
