"""Read and check the files of a saved model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from cmr_hub.checksums import sha256_of_file
from cmr_hub.encoders.texts.storage import ARRAYS_FILE, SETTINGS_FILE
from cmr_hub.errors import ModelFormatError
from cmr_hub.float16 import from_half
from cmr_hub.models.config import ModelConfig, ProjectorConfig
from cmr_hub.models.inspection import MAX_BYTES, refuse_code, refuse_size
from cmr_hub.models.names import (
    CARD,
    CARD_PICTURES,
    CONFIG,
    ENCODERS,
    GALLERY,
    HISTORY,
    IMAGE_WEIGHTS,
    PICTURES,
    SNAPSHOTS,
    TENSORS,
)
from cmr_hub.models.projection import shapes
from cmr_hub.outside import LARGEST, check_file, read_json

if TYPE_CHECKING:
    from cmr_hub.models.safetensors_header import TensorInfo
    from cmr_hub.types import FloatArray

_FILES: Final = (CONFIG, TENSORS, IMAGE_WEIGHTS, HISTORY, SETTINGS_FILE, ARRAYS_FILE, CARD)
_FOLDERS: Final = (GALLERY, PICTURES, CARD_PICTURES, ENCODERS)
_ALL: Final = {*_FILES, *_FOLDERS, SNAPSHOTS}  # snapshots are not published


def choose_model_files(sizes: Mapping[str, int], where: str) -> list[str]:
    """Return glob patterns of the files to download from a repository with a model.

    Raises:
        ModelFormatError: there is no model, or a file could run code or is too large.
    """
    for name, size in sizes.items():
        refuse_code(name, where)
        refuse_size(name, size, where)
    if CONFIG not in sizes:
        raise ModelFormatError(f"{where} is not a model of this library: it has no {CONFIG}")
    return [*_FILES, *(f"{folder}/*" for folder in _FOLDERS)]


def is_model_file(path: str) -> bool:
    """Return whether a relative path can be a file of a model."""
    return path in _FILES or path.split("/", 1)[0] in _FOLDERS


def model_files(directory: Path) -> list[str]:
    """Return the relative paths of a model's files in its directory, without other files."""
    names = [name for name in _FILES if (directory / name).is_file()]
    for folder in _FOLDERS:
        names += [
            path.relative_to(directory).as_posix()
            for path in sorted((directory / folder).rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        ]
    return names


def refuse_foreign_directory(directory: Path) -> None:
    """Refuse to save over a directory with files that are not part of a model.

    Raises:
        ModelFormatError: the directory has such files, even next to a model, or is a file.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ModelFormatError(f"{directory} is a file: choose a directory to save the model in")
    names = {path.name for path in directory.iterdir()}
    if names and not (names <= _ALL and is_of_a_model(directory / CONFIG)):
        foreign = ", ".join(sorted(names - _ALL)[:3] or sorted(names)[:3])
        raise ModelFormatError(
            f"{directory} has files that are not part of a model ({foreign}): "
            "choose a new or empty directory"
        )


def is_of_a_model(config: Path) -> bool:
    """Return whether this library wrote the config, because other programs use config.json too."""
    try:
        content = read_json(config)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("library_name") == "cmr-hub"


def checksums(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a directory and its subfolders, by relative path."""
    return {
        path.relative_to(directory).as_posix(): sha256_of_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def verify_files(directory: Path, expected: Mapping[str, str]) -> None:
    """Compare every file with its SHA-256 in the manifest.

    Raises:
        ModelFormatError: a file is missing or changed, or is not inside the directory.
    """
    for name, checksum in expected.items():
        try:
            check_file(directory / name, MAX_BYTES.get(name, LARGEST), below=directory)
            actual = sha256_of_file(directory / name)
        except FileNotFoundError as error:
            raise ModelFormatError(f"{directory} is incomplete: {name} is missing") from error
        except OSError as error:
            raise ModelFormatError(f"{directory / name} cannot be read: {error}") from error
        if actual != checksum:
            raise ModelFormatError(
                f"{directory / name} is damaged or was changed: its checksum does not match"
            )


def check_tensors(header: Mapping[str, TensorInfo], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the header of the tensors file with the shapes that the config requires.

    Raises:
        ModelFormatError: a tensor is missing or unused, or has another type than float32 or
            float16 or another shape.
    """
    for name, shape in shapes.items():
        if name not in header:
            raise ModelFormatError(
                f"{TENSORS} has no tensor {name}, so the model is incomplete: save or download it "
                "again"
            )
        tensor = header[name]
        if tensor.dtype not in ("F16", "F32") or tensor.shape != shape:
            raise ModelFormatError(
                f"{TENSORS}: {name} is {tensor.dtype} {tensor.shape}, "
                f"but the config requires float32 or float16 {shape}"
            )
    extra = sorted(header.keys() - shapes.keys())
    if extra:
        raise ModelFormatError(f"{TENSORS} has tensors that no part of the model uses: {extra[:3]}")


def read_tensors(path: Path) -> dict[str, FloatArray]:
    """Read the tensors of a safetensors file, converting float16 to float32.

    Raises:
        ModelFormatError: the file cannot be read, or a value is not finite.
    """
    try:
        check_file(path)
        tensors: dict[str, FloatArray] = from_half(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFormatError(f"{path} is not a valid safetensors file: {error}") from error
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise ModelFormatError(f"{path}: {name} has values that are not finite")
    return tensors


def tensor_shapes(
    config: ModelConfig, projectors: Mapping[str, ProjectorConfig]
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all tensors of a model with this config."""
    tensors = {
        f"{part}.{name}": shape
        for part, projector in projectors.items()
        for name, shape in shapes(projector.model_dump()).items()
    }
    if config.classes:
        centroids = (len(config.classes), config.image_tower.dim)
        tensors |= {"centroids.images": centroids, "centroids.texts": centroids}
    return tensors


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the history, which has one row per epoch. Raises ModelFormatError."""
    try:
        rows = read_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ModelFormatError(f"{path} is not a list with one object per epoch")
    return rows
