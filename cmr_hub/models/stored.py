"""Write and read the directory of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from safetensors.numpy import save

from cmr_hub.encoders.backends.recorded import recorded
from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder
from cmr_hub.encoders.lazy import Lazy
from cmr_hub.encoders.pretrained.load import Backbones
from cmr_hub.encoders.texts.storage import load_text_encoder, save_text_encoder
from cmr_hub.errors import CMRError, ModelFormatError, NotInstalledError, shown
from cmr_hub.float16 import to_half
from cmr_hub.models.centroids import ClassCentroids
from cmr_hub.models.config import (
    EncoderConfig,
    ModelConfig,
    ProjectorConfig,
    TowerConfig,
    read_config,
)
from cmr_hub.models.files import (
    check_tensors,
    checksums,
    read_history,
    read_tensors,
    tensor_shapes,
    verify_files,
)
from cmr_hub.models.inspection import inspect_directory
from cmr_hub.models.names import CONFIG, ENCODERS, HISTORY, IMAGE_WEIGHTS, TENSORS
from cmr_hub.models.projection import Projection, shapes
from cmr_hub.models.safetensors_header import read_header
from cmr_hub.models.towers import ImageTower, TextTower

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.pretrained.backbone import Backbone
    from cmr_hub.encoders.pretrained.files import PretrainedFiles
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import JSONObject

E = TypeVar("E", "ImageEncoder", "TextEncoder")


@dataclass(frozen=True)
class ModelParts:
    """All parts of a `CrossModalModel` except its gallery."""

    image: ImageTower
    text: TextTower
    classes: Sequence[str]
    centroids: ClassCentroids | None
    training: JSONObject
    history: Sequence[Mapping[str, float]]


def write_parts(parts: ModelParts, directory: Path) -> None:
    """Write a model into a directory.

    Existing files, such as the pictures of the gallery, are added to the manifest.

    Raises:
        ModelFormatError, WeightsError: an encoder cannot be loaded in order to save it.
        CMRError: an encoder uses another backend than torch.
    """
    parts = replace(parts, image=parts.image.movable, text=parts.text.movable)
    for tower in (parts.image, parts.text):
        encoder: ImageEncoder | TextEncoder | None = tower.encoder
        if encoder is not None and encoder.placement.backend != "torch":
            raise CMRError(
                f"a model that uses {encoder.placement.backend} cannot be saved: load it without "
                "a backend, and save that model"
            )
    # `save_file` makes files that only their owner can read.
    (directory / TENSORS).write_bytes(save(_tensors(parts)))
    image = TowerConfig(
        encoder=_write_image_encoder(parts.image.encoder, directory),
        projector=_described(parts.image.projector),
    )
    text = TowerConfig(
        encoder=_write_text_encoder(parts.text.encoder, directory),
        projector=_described(parts.text.projector),
    )
    (directory / HISTORY).write_text(json.dumps(parts.history), encoding="utf-8")
    config = ModelConfig(
        image_tower=image,
        text_tower=text,
        classes=list(parts.classes),
        training=parts.training,
        files=checksums(directory),
    )
    (directory / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_parts(directory: Path) -> ModelParts:
    """Read a model's directory, with the cheap checks first.

    Raises:
        ModelFormatError: a file is missing or damaged, could run code, or does not match the
            config; the message names it.
        NotInstalledError: no installed package provides the image or text encoder.
    """
    inspect_directory(directory)
    config = read_config(directory / CONFIG)
    if TENSORS not in config.files:
        raise ModelFormatError(f"{directory / CONFIG} has no checksum of {TENSORS}")
    if not (directory / TENSORS).is_file():
        raise ModelFormatError(f"{directory} is incomplete: {TENSORS} is missing")
    towers = {"image_projector": config.image_tower, "text_projector": config.text_tower}
    projectors = {
        part: tower.projector for part, tower in towers.items() if tower.projector is not None
    }
    check_tensors(read_header(directory / TENSORS), tensor_shapes(config, projectors))
    verify_files(directory, config.files)
    tensors = read_tensors(directory / TENSORS)
    filled = {}
    for part, projector in projectors.items():
        settings = projector.model_dump()
        arrays = {name: tensors[f"{part}.{name}"] for name in shapes(settings)}
        filled[part] = Projection(settings, arrays)
    networks = Backbones()
    centroids = None
    if config.classes:
        centroids = ClassCentroids(tensors["centroids.images"], tensors["centroids.texts"])
    return ModelParts(
        ImageTower(
            _read_image_encoder(config.image_tower.encoder, directory, networks),
            filled.get("image_projector"),
        ),
        TextTower(
            _read_text_encoder(config.text_tower.encoder, directory, networks),
            filled.get("text_projector"),
        ),
        config.classes,
        centroids,
        config.training,
        read_history(directory / HISTORY),
    )


def _described(projector: Projection | None) -> ProjectorConfig | None:
    return None if projector is None else ProjectorConfig(**projector.settings)


def _write_image_encoder(encoder: ImageEncoder | None, directory: Path) -> EncoderConfig | None:
    """Describe the image encoder, and save its weights if they cannot be downloaded again."""
    from cmr_hub.encoders.images.network import NetworkEncoder
    from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder

    if encoder is None:
        return None
    sha256 = None
    if isinstance(encoder, PretrainedImageEncoder):
        sha256 = _copy_files(encoder.backbone.files, directory)
    elif encoder.source == "file" and isinstance(encoder, NetworkEncoder):
        weights = {name: value.numpy() for name, value in encoder.state.items()}
        (directory / IMAGE_WEIGHTS).write_bytes(save(to_half(weights)))
    elif encoder.source == "file":
        raise ModelFormatError(
            f"the weights of the image encoder {encoder.name} cannot be saved: make it a subclass "
            "of cmr_hub.encoders.NetworkEncoder, or set its `source` to a package or repository"
        )
    return EncoderConfig(
        name=encoder.name,
        source=encoder.source,
        dim=encoder.dim,
        fingerprint=encoder.fingerprint,
        sha256=sha256,
    )


def _write_text_encoder(encoder: TextEncoder | None, directory: Path) -> EncoderConfig | None:
    from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder

    if encoder is None:
        return None
    if isinstance(encoder, PretrainedTextEncoder):
        return EncoderConfig(
            name=encoder.name,
            source=encoder.source,
            dim=encoder.dim,
            fingerprint=encoder.fingerprint,
            sha256=_copy_files(encoder.backbone.files, directory),
        )
    save_text_encoder(encoder, directory)
    return EncoderConfig(name=encoder.name, source="file", dim=encoder.dim)


def _copy_files(files: PretrainedFiles, directory: Path) -> str:
    """Copy the files of a pretrained encoder unless a repository has them; return their SHA-256."""
    if files.repository is None:
        files.copy_to(_folder(directory, files.sha256))
    return files.sha256


def _folder(directory: Path, sha256: str) -> Path:
    """Return the folder of the files of a pretrained encoder, which both towers may share."""
    return directory / ENCODERS / sha256[:16]


def _read_image_encoder(
    config: EncoderConfig | None, directory: Path, networks: Backbones
) -> Lazy[ImageEncoder] | None:
    """Return the image encoder; check its name and files now, its weights when it is built."""
    if config is None:
        return None
    if config.is_pretrained:
        files = _files_of(config, directory)

        def load() -> ImageEncoder:
            from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder

            return _same(PretrainedImageEncoder(networks.get(_verified(files, config))), config)

        return _lazy(load, config)
    if config.name not in IMAGE_ENCODERS:
        raise NotInstalledError("image encoder", config.name, IMAGE_ENCODERS.group)
    if config.fingerprint is None:
        raise ModelFormatError(f"{directory / CONFIG}: the image encoder has no fingerprint")
    weights = directory / IMAGE_WEIGHTS if config.source == "file" else None
    if weights is not None and not weights.is_file():
        raise ModelFormatError(f"{directory} is incomplete: {IMAGE_WEIGHTS} is missing")

    def build() -> ImageEncoder:
        return _same(image_encoder(config.name, weights), config)

    return _lazy(build, config)


def _read_text_encoder(
    config: EncoderConfig | None, directory: Path, networks: Backbones
) -> TextEncoder | Lazy[TextEncoder] | None:
    if config is None:
        return None
    if not config.is_pretrained:
        return load_text_encoder(directory)
    files = _files_of(config, directory)

    def read(backbone: Backbone) -> TextEncoder:
        from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder

        return _same(PretrainedTextEncoder(backbone), config)

    def without_network() -> TextEncoder | None:
        known = recorded(_verified(files, config))
        return None if known is None else read(known)

    return _lazy(lambda: read(networks.get(_verified(files, config))), config, without_network)


def _lazy(
    build: Callable[[], E],
    config: EncoderConfig,
    without_network: Callable[[], E | None] = lambda: None,
) -> Lazy[E]:
    facts = (config.name, config.source, config.dim, str(config.fingerprint))
    return Lazy(build, *facts, without_network)


def _files_of(config: EncoderConfig, directory: Path) -> PretrainedFiles:
    """Return the files of a pretrained encoder, from this directory or from a repository."""
    from cmr_hub.encoders.pretrained.files import PretrainedFiles
    from cmr_hub.encoders.pretrained.hub import locate

    if config.source == "file":
        folder = _folder(directory, str(config.sha256))
        if not folder.is_dir():
            raise ModelFormatError(
                f"{directory} is incomplete: {folder.relative_to(directory)} is missing"
            )
        return PretrainedFiles.of(folder, label=config.name.removeprefix("hf:"))
    if not config.source.startswith("hf:"):
        raise ModelFormatError(
            f"{directory / CONFIG}: {shown(config.source)} is not a valid source of an encoder"
        )
    return locate(config.source, only_hub=True)


def _verified(files: PretrainedFiles, config: EncoderConfig) -> PretrainedFiles:
    if files.sha256 != config.sha256:
        raise ModelFormatError(
            f"the files of {config.name} differ from the files that the model was saved with "
            "(other SHA-256): restore them, or download the model again"
        )
    return files


def _same(encoder: E, config: EncoderConfig) -> E:
    """Raise ModelFormatError if the encoder differs from the one the model was saved with."""
    if encoder.fingerprint != config.fingerprint or encoder.dim != config.dim:
        raise ModelFormatError(
            f"the model was trained with other weights or another preprocessing of {config.name} "
            f"than this release has for {config.source}: install the release that saved it, or "
            "train it again"
        )
    return encoder


def _stored(projector: Projection) -> Mapping[str, npt.NDArray[Any]]:
    """Return the tensors as float16 if that is exact for all of them, else as float32."""
    halves = to_half(projector.arrays)
    is_exact = all(array.dtype == np.float16 for array in halves.values())
    return halves if is_exact else projector.arrays


def _tensors(parts: ModelParts) -> dict[str, npt.NDArray[Any]]:
    projectors = {
        "image_projector": parts.image.projector,
        "text_projector": parts.text.projector,
    }
    tensors = {
        f"{part}.{name}": value
        for part, projector in projectors.items()
        if projector is not None
        for name, value in _stored(projector).items()
    }
    if parts.centroids is not None:
        tensors["centroids.images"] = parts.centroids.images
        tensors["centroids.texts"] = parts.centroids.texts
    # safetensors writes raw memory, so a transposed view would be read incorrectly.
    return {name: np.asarray(value, order="C") for name, value in tensors.items()}
