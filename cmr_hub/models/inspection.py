"""Inspect a model directory before it is read, and refuse dangerous or oversized files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cmr_hub.encoders.texts.sentence_files import OFFLINE_MINILM
from cmr_hub.encoders.texts.storage import ARRAYS_FILE, SETTINGS_FILE
from cmr_hub.errors import ModelFormatError, shown
from cmr_hub.hub_download import is_repository
from cmr_hub.models.names import (
    CONFIG,
    ENCODERS,
    GALLERY,
    HISTORY,
    IMAGE_WEIGHTS,
    PICTURES,
    TENSORS,
)
from cmr_hub.models.safetensors_header import read_header
from cmr_hub.outside import LARGEST, MOST_BYTES, check_file, home_of, read_json

MAX_BYTES: Final = {
    CONFIG: 1_000_000,
    HISTORY: 10_000_000,
    SETTINGS_FILE: 16_000_000,
    TENSORS: 2_000_000_000,
    IMAGE_WEIGHTS: 2_000_000_000,
    ARRAYS_FILE: 2_000_000_000,
}
"""Maximum sizes of the files of a model."""

_READ_INSIDE: Final = (GALLERY, PICTURES, ENCODERS)
_WITH_SOURCES: Final = ("image_tower", "text_tower", "image_encoder", "text_encoder")
_SOURCE: Final = re.compile(
    r"file|torchvision:[\w.]+|package:[\w.-]+|hf:[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*@[0-9a-f]{40}"
)
_RUN_CODE: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".py")


def inspect_directory(directory: Path) -> None:
    """Refuse files that could run code, block, fill the memory or lead to other files.

    The directory and its folders of gallery, pictures and encoders are inspected, because only
    these are read. `read_config` refuses a directory without a config.

    Raises:
        ModelFormatError: there is a pickle or a program; a link out of the directory (links of the
            Hub's cache into its store are allowed); something that is not a regular file; a file
            that is too large or sparse; or a safetensors file with an invalid header.
    """
    if not (directory / CONFIG).is_file():
        return
    allowed, total = home_of(directory), 0
    for entry in _entries(directory):
        refuse_code(entry.name, str(directory))
        path = Path(entry.path)
        if entry.is_symlink() and not path.resolve().is_relative_to(allowed):
            raise ModelFormatError(
                f"{path} is a link that leads out of the model directory: replace it by the file"
            )
        if entry.is_dir():
            continue
        if not path.exists():
            raise ModelFormatError(f"{path} is a broken link: remove it, or restore its file")
        if not entry.is_file():
            raise ModelFormatError(f"{path} is neither a file nor a folder: remove it")
        refuse_size(entry.name, entry.stat().st_size, str(directory))
        has_hard_links = entry.stat().st_nlink > 1
        try:
            total += check_file(path, LARGEST, below=directory if has_hard_links else None)
        except OSError as error:
            raise ModelFormatError(f"{path} cannot be read: {error}") from error
        if total > MOST_BYTES:
            raise ModelFormatError(f"{directory} has more than {MOST_BYTES:,} bytes")
        if entry.name.endswith(".safetensors"):
            read_header(path)


def refuse_code(name: str, where: str) -> None:
    """Raise ModelFormatError for a file that could run code when it is read."""
    if name.lower().endswith(_RUN_CODE):
        raise ModelFormatError(
            f"{where} has the file {name}, which can run code when it is read, so the directory is "
            "not loaded. A model consists of JSON and safetensors: remove the file, or convert it"
        )


def refuse_size(name: str, size: int, where: str) -> None:
    """Raise ModelFormatError for a file that is larger than any model needs."""
    limit = MAX_BYTES.get(name)
    if limit is not None and size > limit:
        raise ModelFormatError(
            f"{where}/{name} has {size:,} bytes, more than the {limit:,} allowed for a model"
        )


def refuse_local_sources(directory: Path) -> None:
    """Refuse a downloaded model that refers to local files.

    Raises:
        ModelFormatError: the weights of an encoder are neither in the directory, nor in a package,
            nor in a repository on the Hub at a commit.
    """
    for source in _sources(_content(directory / SETTINGS_FILE)):
        on_hub = isinstance(source, str) and is_repository(source) and not Path(source).exists()
        if source != OFFLINE_MINILM and not on_hub:
            raise _refused(directory / SETTINGS_FILE, source)
    config = _content(directory / CONFIG)
    # The training record may name any source, because no files are read from it.
    parts = [config.get(part) for part in _WITH_SOURCES] if isinstance(config, dict) else []
    for source in _sources(parts):
        if not (isinstance(source, str) and _SOURCE.fullmatch(source)):
            raise _refused(directory / CONFIG, source)


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of the directory, and of its gallery, pictures and encoders recursively."""
    folders = [entry.path for entry in _sorted(directory) if entry.name in _READ_INSIDE]
    yield from _sorted(directory)
    while folders:
        for entry in _sorted(folders.pop()):
            yield entry
            # Links to folders are checked like other links, but not followed.
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)


def _sorted(folder: str | Path) -> list[os.DirEntry[str]]:
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _content(file: Path) -> dict[str, Any] | list[Any]:
    """Return the JSON in a file; empty if it is missing or invalid, which is reported later."""
    try:
        content = read_json(file)
    except (OSError, ValueError, RecursionError):
        return []
    return content if isinstance(content, dict | list) else []


def _refused(file: Path, source: object) -> ModelFormatError:
    return ModelFormatError(
        f"{file} takes weights from {shown(source)}, but a downloaded model may not read other "
        "files of this machine, and may use repositories on the Hub only at a commit"
    )


def _sources(content: Any) -> Iterator[Any]:
    """Yield all values of the key `source`, recursively."""
    if isinstance(content, dict):
        if content.get("source") is not None:
            yield content["source"]
        content = list(content.values())
    for value in content:
        if isinstance(value, dict | list):
            yield from _sources(value)
