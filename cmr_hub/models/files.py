"""The files of a saved model, read with every doubt: each check has its own message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from cmr_hub.checksums import sha256_of_file
from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder
from cmr_hub.encoders.texts.storage import ARRAYS_FILE, SETTINGS_FILE
from cmr_hub.errors import ModelFormatError, UnknownNameError
from cmr_hub.models.config import ImageEncoderConfig, ProjectorConfig
from cmr_hub.models.projector import Projector

if TYPE_CHECKING:
    from torch import Tensor

    from cmr_hub.encoders.images.base import ImageEncoder

CONFIG: Final = "config.json"
TENSORS: Final = "model.safetensors"
IMAGE_WEIGHTS: Final = "image_encoder.safetensors"
HISTORY: Final = "history.json"
GALLERY: Final = "gallery"
PICTURES: Final = "pictures"
_ALL = {CONFIG, TENSORS, IMAGE_WEIGHTS, HISTORY, GALLERY, PICTURES, SETTINGS_FILE, ARRAYS_FILE}


def refuse_foreign_directory(directory: Path) -> None:
    """Saving replaces a directory, so only an absent or empty one, or a model's, may be replaced.

    Raises:
        ModelFormatError: it holds something else, if only beside a model.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ModelFormatError(f"{directory} is a file; give a directory to save the model in")
    names = {path.name for path in directory.iterdir()}
    if names and not (names <= _ALL and _is_of_a_model(directory / CONFIG)):
        foreign = ", ".join(sorted(names - _ALL)[:3] or sorted(names)[:3])
        raise ModelFormatError(
            f"{directory} holds files that are not a model's ({foreign}); "
            "give a new or empty directory"
        )


def _is_of_a_model(config: Path) -> bool:
    """Whether some release wrote this config; many programs call a file config.json."""
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("library_name") == "cmr-hub"


def verify_files(directory: Path, expected: Mapping[str, str]) -> None:
    """Compares every file with its SHA-256 in the config.

    Raises:
        ModelFormatError: a missing or a changed file.
    """
    for name, checksum in expected.items():
        path = directory / name
        if not path.is_file():
            raise ModelFormatError(f"{directory} is incomplete: {name} is missing")
        if sha256_of_file(path) != checksum:
            raise ModelFormatError(f"{path} is damaged or was changed: its checksum is not right")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises ModelFormatError."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFormatError(f"{path} is not a whole safetensors file: {error}") from error
    return tensors


def take_tensor(tensors: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """Takes one tensor out of `tensors`.

    Raises:
        ModelFormatError: absent, or not finite float32 of this shape.
    """
    if name not in tensors:
        raise ModelFormatError(f"{TENSORS} has no tensor {name}")
    value = tensors.pop(name)
    if tuple(value.shape) != shape or value.dtype != torch.float32:
        raise ModelFormatError(
            f"{TENSORS}: {name} is {value.dtype} {tuple(value.shape)}, "
            f"the config asks for float32 {shape}"
        )
    if not torch.isfinite(value).all():
        raise ModelFormatError(f"{TENSORS}: {name} has values that are not finite")
    return value


def refuse_leftovers(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises ModelFormatError if tensors remain that nothing asked for."""
    if tensors:
        raise ModelFormatError(
            f"{path} has tensors that no part of the model uses: {sorted(tensors)[:3]}"
        )


def describe_projector(projector: Projector) -> ProjectorConfig:
    """The config that `build_projector` builds this projector from."""
    return ProjectorConfig(**projector.settings)


def build_projector(config: ProjectorConfig, tensors: dict[str, Tensor], part: str) -> Projector:
    """A projector with its tensors taken out of `tensors`. Raises ModelFormatError."""
    with torch.device("meta"):
        projector = Projector(**config.model_dump())
    state = {
        name: take_tensor(tensors, f"{part}.{name}", tuple(blueprint.shape))
        for name, blueprint in projector.state_dict().items()
    }
    projector.load_state_dict(state, assign=True)
    return projector


def check_dim(part: str, in_dim: int, dim: int) -> None:
    """Raises ModelFormatError if the projector does not take the encoder's rows."""
    if in_dim != dim:
        raise ModelFormatError(
            f"{CONFIG}: {part} takes rows of {in_dim} numbers, its encoder gives {dim}"
        )


class StoredImageEncoder:
    """The image encoder of a saved model, built when it is first needed.

    Its name and file are checked now, its weights then.

    Raises:
        UnknownNameError, ModelFormatError.
    """

    def __init__(self, config: ImageEncoderConfig, directory: Path, in_dim: int) -> None:
        if config.name not in IMAGE_ENCODERS:
            raise UnknownNameError("image encoder", config.name, sorted(IMAGE_ENCODERS))
        self.config, self.in_dim = config, in_dim
        self.weights = directory / IMAGE_WEIGHTS if config.source == "file" else None
        if self.weights is not None and not self.weights.is_file():
            raise ModelFormatError(f"{directory} is incomplete: {IMAGE_WEIGHTS} is missing")

    @property
    def fingerprint(self) -> str:
        """What the encoder's own fingerprint must be."""
        return self.config.fingerprint

    def load(self) -> ImageEncoder:
        """Builds the encoder. Raises ModelFormatError or WeightsError if it is not the same."""
        encoder = image_encoder(self.config.name, self.weights)
        check_dim("image_projector", self.in_dim, encoder.dim)
        if encoder.fingerprint != self.fingerprint:
            raise ModelFormatError(
                f"the model was trained with other weights or another preprocessing of "
                f"{self.config.name} than this release and {self.config.source} give"
            )
        return encoder


def read_history(path: Path) -> list[dict[str, float]]:
    """One row per epoch. Raises ModelFormatError."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ModelFormatError(f"{path} is not a list of epochs")
    return rows
