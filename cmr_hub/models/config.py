"""The schema of a saved model's `config.json`, validated on reading."""

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
from cmr_hub.models.projection import Output
from cmr_hub.outside import read_json

FORMAT_VERSION: Final = 2
_MAX_BYTES = 1_000_000
_FORMAT_1: Final = ("image_projector", "text_projector", "image_encoder", "text_encoder")

Width = Annotated[int, Field(gt=0, le=1_000_000)]
Share = Annotated[float, Field(ge=0, lt=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _stays_inside(name: str) -> str:
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or PureWindowsPath(name).anchor or "\\" in name:
        raise ValueError(f"{name[:80]!r} is not a relative path inside the directory")
    if not name.isprintable() or len(name) > 1000:
        raise ValueError("the name of a file is too long or has control characters")
    return name


FileName = Annotated[str, AfterValidator(_stays_inside)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


LinearDim = Annotated[int, Field(ge=0, le=1_000_000)]
LinearShare = Annotated[float, Field(ge=0, lt=1)]


class ProjectorConfig(_Strict):
    """The settings of a projector; see `Projector`."""

    in_dim: Width
    hidden: Annotated[list[Width], Field(max_length=16)]
    dim: Width
    activation: Literal["relu", "tanh"]
    dropout: tuple[Share, Share]
    output: Output
    radius: Annotated[float, Field(gt=0)]
    residual: bool = False
    blocks: Annotated[int, Field(ge=1, le=64)] = 1
    linear_dim: LinearDim | Annotated[list[LinearDim], Field(min_length=2, max_length=16)] = 0
    linear_share: LinearShare | list[LinearShare] = 0.0

    @property
    def _linear_dims(self) -> list[int]:
        return self.linear_dim if isinstance(self.linear_dim, list) else [self.linear_dim]

    @property
    def _linear_shares(self) -> list[float]:
        return self.linear_share if isinstance(self.linear_share, list) else [self.linear_share]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.output.startswith("posterior") and self.dim < 3:
            raise ValueError("posteriors need at least 3 dimensions: a class and two slots")
        if self.residual and (self.in_dim != self.dim or self.output != "linear"):
            raise ValueError("a residual projector needs dim = in_dim and the output 'linear'")
        widths = (*self.hidden, self.dim - sum(self._linear_dims))
        if self.blocks != 1 and (self.output != "sphere" or any(n % self.blocks for n in widths)):
            raise ValueError("blocks need the output 'sphere', and must divide all widths equally")
        takes_linear = self.output in ("sphere", "softmax")
        dims, shares = self._linear_dims, self._linear_shares
        fits = len(dims) == len(shares) and all(dims) and all(shares) and sum(shares) < 1
        if (self.linear_dim or self.linear_share) and (
            not takes_linear or not fits or sum(dims) >= self.dim
        ):
            raise ValueError(
                "a linear part needs the output 'sphere' or 'softmax', and a share in (0, 1)"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out unused settings, which older releases do not know."""
        fields: dict[str, Any] = handler(self)
        if not self.residual:
            del fields["residual"]
        if self.blocks == 1:
            del fields["blocks"]
        if not self.linear_dim:
            del fields["linear_dim"], fields["linear_share"]
        return fields


class EncoderConfig(_Strict):
    """An encoder and the source of its weights.

    `source` is `file` if its weights or vocabulary are in the model's directory, otherwise
    `torchvision:NAME`, `package:NAME` or `hf:REPOSITORY@COMMIT`. `fingerprint` identifies
    everything that affects the features. It is None for a fitted text encoder, whose files are in
    the manifest. `sha256` is the hash of the files of a pretrained encoder.
    """

    name: str
    source: str
    dim: Width
    fingerprint: Sha256 | None = None
    sha256: Sha256 | None = None

    @property
    def is_pretrained(self) -> bool:
        """Whether sentence-transformers or open_clip reads the encoder."""
        return self.sha256 is not None


class TowerConfig(_Strict):
    """An encoder, a projector, or both in sequence; see `cmr_hub.models.towers`."""

    encoder: EncoderConfig | None
    projector: ProjectorConfig | None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.encoder is None and self.projector is None:
            raise ValueError("a tower needs an encoder, a projector, or both")
        if self.encoder is not None and self.projector is not None:
            dims = self.projector.in_dim, self.encoder.dim
            if dims[0] != dims[1]:
                raise ValueError(
                    f"the projector takes rows of {dims[0]} numbers, but its encoder returns "
                    f"{dims[1]}"
                )
        return self

    @property
    def dim(self) -> int:
        """Dimension of the common space."""
        if self.projector is not None:
            return self.projector.dim
        return 0 if self.encoder is None else self.encoder.dim


class ModelConfig(_Strict):
    """Everything in a saved model except its tensors.

    `files` is the manifest with the SHA-256 of every other required file, which detects incomplete
    copies. It leaves out the gallery, which has a separate manifest, and the card, which may be
    edited. `training` is a free-form record of the training and its figures, for the card.
    """

    format_version: Literal[2] = FORMAT_VERSION
    library_name: Literal["cmr-hub"] = "cmr-hub"
    image_tower: TowerConfig
    text_tower: TowerConfig
    classes: list[str]
    training: dict[str, Any]
    files: dict[FileName, Sha256]


def read_config(path: Path) -> ModelConfig:
    """Read and validate a `config.json`.

    Raises:
        ModelFormatError: the file is missing, too large, not JSON or of another format version,
            or a key is missing, unknown or of the wrong type; the message names it.
    """
    if not path.is_file():
        raise ModelFormatError(f"{path.parent} is not a model directory: it has no {path.name}")
    if path.stat().st_size > _MAX_BYTES:
        raise ModelFormatError(f"{path} is larger than the {_MAX_BYTES:,} bytes of a model config")
    try:
        content = read_json(path, _MAX_BYTES)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not valid JSON: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version not in (1, FORMAT_VERSION):
        raise ModelFormatError(
            f"{path} has format version {version!r}; this release reads 1 and {FORMAT_VERSION}. "
            "Install the cmr-hub release that wrote it, or train again."
        )
    if version == 1:
        content = _upgrade_format_1(content)
    try:
        return ModelConfig.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()[:3]
        )
        raise ModelFormatError(f"{path} is not a valid model config: {problems}") from error


def _upgrade_format_1(content: dict[str, Any]) -> dict[str, Any]:
    """Convert a config of format 1, which has no towers; validation reports its errors."""
    upgraded = {name: value for name, value in content.items() if name not in _FORMAT_1}
    upgraded["format_version"] = FORMAT_VERSION
    for side in ("image", "text"):
        projector, encoder = (content.get(f"{side}_{part}") for part in ("projector", "encoder"))
        if isinstance(encoder, str):
            encoder = {"name": encoder, "source": "file"}
        if isinstance(encoder, dict) and isinstance(projector, dict):
            encoder = {"dim": projector.get("in_dim"), **encoder}
        upgraded[f"{side}_tower"] = {"encoder": encoder, "projector": projector}
        if projector is None:
            upgraded[f"{side}_projector"] = None  # so that validation reports it
    return upgraded
