"""A model's directory, written and read: its parts are what it is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.numpy import save as save_arrays
from safetensors.torch import save

from cmr_hub.encoders.texts.storage import load_text_encoder, save_text_encoder
from cmr_hub.half import to_half
from cmr_hub.models.centroids import ClassCentroids
from cmr_hub.models.config import ImageEncoderConfig, ModelConfig, read_config
from cmr_hub.models.files import (
    PROJECTORS,
    StoredImageEncoder,
    blueprint,
    check_dim,
    check_tensors,
    checksums,
    describe_projector,
    fill_projector,
    read_history,
    read_tensors,
    refuse_without_tensors,
    tensor_shapes,
    verify_files,
)
from cmr_hub.models.inspection import inspect_directory
from cmr_hub.models.names import CONFIG, HISTORY, IMAGE_WEIGHTS, TENSORS
from cmr_hub.models.safetensors_header import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.models.projector import Projector
    from cmr_hub.types import JSONObject


@dataclass(frozen=True)
class ModelParts:
    """All that a `CrossModalModel` is made of, but its gallery; see there."""

    image_projector: Projector
    text_projector: Projector
    image_encoder: ImageEncoder | StoredImageEncoder | None
    text_encoder: TextEncoder | None
    classes: Sequence[str]
    centroids: ClassCentroids | None
    training: JSONObject
    history: Sequence[Mapping[str, float]]


def write_parts(parts: ModelParts, directory: Path) -> None:
    """Writes a model into a directory.

    What lies there already, such as the gallery's pictures, goes into the list of checksums.

    Raises:
        ModelFormatError, WeightsError: a stored image encoder cannot be loaded to be kept.
    """
    # Not save_file, which makes files that only their owner can read.
    (directory / TENSORS).write_bytes(save(_tensors(parts)))
    if parts.text_encoder is not None:
        save_text_encoder(parts.text_encoder, directory)
    (directory / HISTORY).write_text(json.dumps(parts.history), encoding="utf-8")
    config = ModelConfig(
        image_projector=describe_projector(parts.image_projector),
        text_projector=describe_projector(parts.text_projector),
        image_encoder=_write_image_encoder(parts.image_encoder, directory),
        text_encoder=None if parts.text_encoder is None else parts.text_encoder.name,
        classes=list(parts.classes),
        training=parts.training,
        files=checksums(directory),
    )
    (directory / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_parts(directory: Path) -> ModelParts:
    """Reads a model's directory; what is cheap to check is checked first.

    Raises:
        ModelFormatError: a file is missing, damaged, could run code, or does not fit the config;
            it is named.
        UnknownNameError: no such image or text encoder.
    """
    inspect_directory(directory)
    config = read_config(directory / CONFIG)
    refuse_without_tensors(directory, config)
    # Shapes against the config, then every byte.
    projectors = {part: blueprint(getattr(config, part)) for part in PROJECTORS}
    check_tensors(read_header(directory / TENSORS), tensor_shapes(config, projectors))
    verify_files(directory, config.files)
    tensors = read_tensors(directory / TENSORS)
    image_projector, text_projector = (
        fill_projector(projector, tensors, part) for part, projector in projectors.items()
    )
    centroids = None
    if config.classes:
        centroids = ClassCentroids(
            tensors["centroids.images"].numpy(), tensors["centroids.texts"].numpy()
        )
    text_encoder = None
    if config.text_encoder is not None:
        text_encoder = load_text_encoder(directory)
        check_dim("text_projector", text_projector.in_dim, text_encoder.dim)
    image_encoder = None
    if config.image_encoder is not None:
        image_encoder = StoredImageEncoder(config.image_encoder, directory, image_projector.in_dim)
    return ModelParts(
        image_projector,
        text_projector,
        image_encoder,
        text_encoder,
        config.classes,
        centroids,
        config.training,
        read_history(directory / HISTORY),
    )


def _write_image_encoder(
    encoder: ImageEncoder | StoredImageEncoder | None, directory: Path
) -> ImageEncoderConfig | None:
    """Keeps its weights where they cannot be downloaded again."""
    if encoder is None:
        return None
    if isinstance(encoder, StoredImageEncoder):
        encoder = encoder.load()
    if encoder.source == "file":
        weights = {name: value.numpy() for name, value in encoder.state.items()}
        (directory / IMAGE_WEIGHTS).write_bytes(save_arrays(to_half(weights)))
    return ImageEncoderConfig(
        name=encoder.name, source=encoder.source, fingerprint=encoder.fingerprint
    )


def _tensors(parts: ModelParts) -> dict[str, Tensor]:
    projectors = {"image_projector": parts.image_projector, "text_projector": parts.text_projector}
    tensors: dict[str, Tensor] = {
        f"{part}.{name}": value
        for part, projector in projectors.items()
        for name, value in projector.state_dict().items()
    }
    if parts.centroids is not None:
        tensors["centroids.images"] = torch.from_numpy(parts.centroids.images)
        tensors["centroids.texts"] = torch.from_numpy(parts.centroids.texts)
    return tensors
