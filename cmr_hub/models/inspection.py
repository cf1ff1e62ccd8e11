"""A model's directory looked over before it is read: nothing in it may be dangerous or too big."""

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
"""What a model of ours can need at most."""

_READ_INSIDE: Final = (GALLERY, PICTURES, ENCODERS)
_WITH_SOURCES: Final = ("image_tower", "text_tower", "image_encoder", "text_encoder")
_SOURCE: Final = re.compile(
    r"file|torchvision:[\w.]+|package:[\w.-]+|hf:[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*@[0-9a-f]{40}"
)
_RUN_CODE: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".py")


def inspect_directory(directory: Path) -> None:
    """Refuses what could run code, hang, fill the memory or lead to other files.

    Looks at the directory, its gallery and its pictures; of other folders nothing is ever read,
    and a directory without a config is left to `read_config`.

    Raises:
        ModelFormatError: a pickle or a program; a link that leads out of the directory (the links
            of the Hub's cache lead into its own store, and may); something that is no file; a file
            larger than any model's, or of holes; a safetensors file whose header is not right.
    """
    if not (directory / CONFIG).is_file():
        return  # not a model's: `read_config` says so
    allowed, total = home_of(directory), 0
    for entry in _entries(directory):
        refuse_code(entry.name, str(directory))
        path = Path(entry.path)
        if entry.is_symlink() and not path.resolve().is_relative_to(allowed):
            raise ModelFormatError(
                f"{path} is a link that leads out of the model directory; put the file there itself"
            )
        if entry.is_dir():
            continue
        if not path.exists():
            raise ModelFormatError(f"{path} is a link to nothing")
        if not entry.is_file():
            raise ModelFormatError(f"{path} is neither a file nor a folder; remove it")
        refuse_size(entry.name, entry.stat().st_size, str(directory))
        total += _checked(path, directory, shared=entry.stat().st_nlink > 1)
        if total > MOST_BYTES:
            raise ModelFormatError(f"{directory} has more than {MOST_BYTES:,} bytes")
        if entry.name.endswith(".safetensors"):
            read_header(path)


def refuse_code(name: str, where: str) -> None:
    """Raises ModelFormatError for a file that could run code when it is read."""
    if name.lower().endswith(_RUN_CODE):
        raise ModelFormatError(
            f"{where} holds {name}, which can run code when it is read: such a directory is not "
            "loaded. A model is JSON and safetensors; remove the file, or convert it"
        )


def refuse_size(name: str, size: int, where: str) -> None:
    """Raises ModelFormatError for a file of a model that is larger than any model's."""
    limit = MAX_BYTES.get(name)
    if limit is not None and size > limit:
        raise ModelFormatError(
            f"{where}/{name} is larger than {limit:,} bytes: not a model's ({size:,})"
        )


def refuse_local_sources(directory: Path) -> None:
    """A model from elsewhere may not point at files of this machine.

    Raises:
        ModelFormatError: an encoder wants weights that are neither in the directory, nor a
            package's, nor of a repository on the Hub; or of one without its commit.
    """
    for source in _sources(_content(directory / SETTINGS_FILE)):
        on_hub = isinstance(source, str) and is_repository(source) and not Path(source).exists()
        if source != OFFLINE_MINILM and not on_hub:
            raise _refused(directory / SETTINGS_FILE, source)
    config = _content(directory / CONFIG)
    # Not of the training record, which nothing is read from.
    parts = [config.get(part) for part in _WITH_SOURCES] if isinstance(config, dict) else []
    for source in _sources(parts):
        if not (isinstance(source, str) and _SOURCE.fullmatch(source)):
            raise _refused(directory / CONFIG, source)


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in the directory, and all below its gallery, pictures and encoders."""
    within = [entry.path for entry in _sorted(directory) if entry.name in _READ_INSIDE]
    yield from _sorted(directory)
    while within:
        for entry in _sorted(within.pop()):
            yield entry
            # A folder that is a link is judged like any other link, and not gone into.
            if entry.is_dir(follow_symlinks=False):
                within.append(entry.path)


def _sorted(folder: str | Path) -> list[os.DirEntry[str]]:
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _checked(path: Path, directory: Path, *, shared: bool) -> int:
    """The size of a file; whether it has a name elsewhere is asked where it has another one."""
    try:
        return check_file(path, LARGEST, below=directory if shared else None)
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error}") from error


def _content(file: Path) -> dict[str, Any] | list[Any]:
    """The JSON in a file; empty where there is none: whoever reads it will say so."""
    try:
        content = read_json(file)
    except (OSError, ValueError, RecursionError):
        return []
    return content if isinstance(content, dict | list) else []


def _refused(file: Path, source: object) -> ModelFormatError:
    return ModelFormatError(
        f"{file} takes weights from {shown(source)}: a downloaded model may not read "
        "other files of this machine, and of the Hub only a commit"
    )


def _sources(content: Any) -> Iterator[Any]:
    """Every value under the key `source`, however deep."""
    if isinstance(content, dict):
        if content.get("source") is not None:
            yield content["source"]
        content = list(content.values())
    for value in content:
        if isinstance(value, dict | list):
            yield from _sources(value)
