"""Read and check the files of a saved model; each check has a separate message."""

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
from cmr_hub.models.projection import Projection, shapes
from cmr_hub.outside import LARGEST, check_file, read_json

if TYPE_CHECKING:
    from cmr_hub.models.safetensors_header import TensorInfo
    from cmr_hub.types import FloatArray

_FILES: Final = (*(CONFIG, TENSORS, IMAGE_WEIGHTS, HISTORY, SETTINGS_FILE, ARRAYS_FILE, CARD),)
_FOLDERS: Final = (GALLERY, PICTURES, CARD_PICTURES, ENCODERS)
_ALL: Final = {*_FILES, *_FOLDERS, SNAPSHOTS}  # snapshots are not published


def model_patterns() -> list[str]:
    """Return glob patterns of all files that a model directory can have."""
    return [*_FILES, *(f"{folder}/*" for folder in _FOLDERS)]


def choose_model_files(sizes: Mapping[str, int], where: str) -> list[str]:
    """Return patterns of the files to download from a repository with a model of this library.

    Raises:
        ModelFormatError: there is no model, or a file could run code or is too large.
    """
    for name, size in sizes.items():
        refuse_code(name, where)
        refuse_size(name, size, where)
    if CONFIG not in sizes:
        raise ModelFormatError(f"{where} is not a model of this library: it has no {CONFIG}")
    return model_patterns()


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
    """Refuse to save over anything but a missing or empty directory or a model's.

    Raises:
        ModelFormatError: the directory has other files, even next to a model.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ModelFormatError(f"{directory} is a file; give a directory to save the model in")
    names = {path.name for path in directory.iterdir()}
    if names and not (names <= _ALL and is_of_a_model(directory / CONFIG)):
        foreign = ", ".join(sorted(names - _ALL)[:3] or sorted(names)[:3])
        raise ModelFormatError(
            f"{directory} holds files that are not a model's ({foreign}); "
            "give a new or empty directory"
        )


def is_of_a_model(config: Path) -> bool:
    """Return whether this library wrote the config; many programs have a file config.json."""
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


def refuse_without_tensors(directory: Path, config: ModelConfig) -> None:
    """Raise ModelFormatError if the tensors file or its checksum is missing."""
    if TENSORS not in config.files:
        raise ModelFormatError(f"{directory / CONFIG} has no checksum of {TENSORS}")
    if not (directory / TENSORS).is_file():
        raise ModelFormatError(f"{directory} is incomplete: {TENSORS} is missing")


def verify_files(directory: Path, expected: Mapping[str, str]) -> None:
    """Compare every file with its SHA-256 in the manifest.

    Raises:
        ModelFormatError: a file is missing or changed, or is not inside the directory.
    """
    for name, checksum in expected.items():
        try:
            check_file(directory / name, MAX_BYTES.get(name, LARGEST), below=directory)
            own = sha256_of_file(directory / name)
        except FileNotFoundError as error:
            raise ModelFormatError(f"{directory} is incomplete: {name} is missing") from error
        except OSError as error:
            raise ModelFormatError(f"{directory / name} cannot be read: {error}") from error
        if own != checksum:
            raise ModelFormatError(
                f"{directory / name} is damaged or was changed: its checksum is not right"
            )


def check_tensors(header: Mapping[str, TensorInfo], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the header of the tensors file with the shapes that the config requires.

    Raises:
        ModelFormatError: a tensor is missing, unused, or not float32 or float16 of the right
            shape.
    """
    for name, shape in shapes.items():
        if name not in header:
            raise ModelFormatError(
                f"{TENSORS} has no tensor {name}: the model is not complete; save or fetch it again"
            )
        found = header[name]
        if found.dtype not in ("F16", "F32") or tuple(found.shape) != shape:
            raise ModelFormatError(
                f"{TENSORS}: {name} is {found.dtype} {tuple(found.shape)}, "
                f"the config asks for float32 {shape}, or float16"
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
        raise ModelFormatError(f"{path} is not a whole safetensors file: {error}") from error
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise ModelFormatError(f"{path}: {name} has values that are not finite")
    return tensors


def describe_projector(projection: Projection) -> ProjectorConfig:
    """Return the config of a projection, as needed by `filled_projector`."""
    return ProjectorConfig(**projection.settings)


def tensor_shapes(
    config: ModelConfig, projectors: Mapping[str, ProjectorConfig]
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all tensors of a model with this config."""
    found = {
        f"{part}.{name}": shape
        for part, projector in projectors.items()
        for name, shape in shapes(projector.model_dump()).items()
    }
    if config.classes:
        points = (len(config.classes), config.image_tower.dim)
        found |= {"centroids.images": points, "centroids.texts": points}
    return found


def filled_projector(
    config: ProjectorConfig, tensors: Mapping[str, FloatArray], part: str
) -> Projection:
    """Build the projector of a config from tensors that were already checked."""
    settings = config.model_dump()
    return Projection(settings, {name: tensors[f"{part}.{name}"] for name in shapes(settings)})


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the history, with one row per epoch. Raises ModelFormatError."""
    try:
        rows = read_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ModelFormatError(f"{path} is not a list of epochs")
    return rows
