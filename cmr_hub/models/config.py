"""What `config.json` of a saved model says; checked on reading."""

from __future__ import annotations

import json
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.projector import Output

FORMAT_VERSION: Final = 1
_MAX_BYTES = 1_000_000

Width = Annotated[int, Field(gt=0, le=1_000_000)]
Share = Annotated[float, Field(ge=0, lt=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _stays_inside(name: str) -> str:
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or PureWindowsPath(name).anchor or "\\" in name:
        raise ValueError(f"{name[:80]!r} is not the relative path of a file in the directory")
    if not name.isprintable() or len(name) > 1000:
        raise ValueError("the name of a file is too long or has control characters")
    return name


FileName = Annotated[str, AfterValidator(_stays_inside)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ProjectorConfig(_Strict):
    """The shape of one projector: see `Projector`."""

    in_dim: Width
    hidden: Annotated[list[Width], Field(max_length=16)]
    dim: Width
    activation: Literal["relu", "tanh"]
    dropout: tuple[Share, Share]
    output: Output
    radius: Annotated[float, Field(gt=0)]
    residual: bool = False

    @model_validator(mode="after")
    def _room_for_a_class(self) -> Self:
        if self.output.startswith("posterior") and self.dim < 3:
            raise ValueError("posteriors need at least 3 dimensions: a class and two slots")
        return self

    @model_validator(mode="after")
    def _room_for_the_row(self) -> Self:
        if self.residual and (self.in_dim != self.dim or self.output != "linear"):
            raise ValueError("a residual projector has dim = in_dim and the output 'linear'")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves `residual` out where it is not, for releases that do not know it."""
        fields: dict[str, Any] = handler(self)
        if not self.residual:
            del fields["residual"]
        return fields


class ImageEncoderConfig(_Strict):
    """Which image encoder, and where its weights are: `file` means in this directory.

    `fingerprint` is the encoder's own, of its weights and its preprocessing.
    """

    name: str
    source: str
    fingerprint: Sha256


class ModelConfig(_Strict):
    """All of a saved model but its tensors.

    `files` is the manifest: the SHA-256 of every other file that is needed, so a half-copied
    directory is noticed. (The gallery has one of its own; the card may be edited.) `training` is
    free-form: what was run and what it measured, for people and the card.
    """

    format_version: Literal[1] = FORMAT_VERSION
    library_name: Literal["cmr-hub"] = "cmr-hub"
    image_projector: ProjectorConfig
    text_projector: ProjectorConfig
    image_encoder: ImageEncoderConfig | None
    text_encoder: str | None
    classes: list[str]
    training: dict[str, Any]
    files: dict[FileName, Sha256]


def read_config(path: Path) -> ModelConfig:
    """Reads and checks a `config.json`.

    Raises:
        ModelFormatError: missing, too large, not JSON, another format version, or a key that is
            missing, unknown or of the wrong kind; the message names it.
    """
    if not path.is_file():
        raise ModelFormatError(f"{path.parent} is not a model directory: it has no {path.name}")
    if path.stat().st_size > _MAX_BYTES:
        raise ModelFormatError(f"{path} is larger than {_MAX_BYTES:,} bytes: not a model's config")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not valid JSON: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise ModelFormatError(
            f"{path} has format version {version!r}; this release reads version {FORMAT_VERSION}. "
            "Install the cmr-hub release that wrote it, or train again."
        )
    try:
        return ModelConfig.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()[:3]
        )
        raise ModelFormatError(f"{path} is not a valid model config: {problems}") from error
