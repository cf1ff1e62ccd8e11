"""Encoders in the format of open_clip: CLIP of LAION and DataComp, MobileCLIP and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from cmr_hub.encoders.meta import refuse_meta_tensors, refuse_non_finite
from cmr_hub.encoders.optional import optional_import
from cmr_hub.encoders.panics import refusing_panics
from cmr_hub.encoders.pretrained import BUILDING
from cmr_hub.encoders.pretrained.backbone import Backbone
from cmr_hub.encoders.pretrained.files import OPEN_CLIP_CONFIG
from cmr_hub.encoders.pretrained.hub import cached_or_allowed
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.errors import CMRError, ModelFormatError

if TYPE_CHECKING:
    from torch import Tensor

    from cmr_hub.encoders.pretrained.files import PretrainedFiles

# A process that receives a pickled transform imports this module before the classes of the
# transform, which need torchvision.
ensure_torchvision()


class OpenClipBackbone(Backbone):
    """A model of open_clip with its transform and tokeniser.

    Args:
        files: Files with an `open_clip_config.json`.

    Raises:
        CMRError: open_clip is not installed, or the text tower needs the configuration of another
            repository, which is neither cached nor allowed to be downloaded.
        ModelFormatError: open_clip cannot read the files.
    """

    def __init__(self, files: PretrainedFiles) -> None:
        super().__init__()
        self.files = files
        self.reload()
        self._context = int(getattr(self._tokenizer, "context_length", 0) or 0)
        scale = getattr(self._model, "logit_scale", None)
        self.logit_scale = None if scale is None else float(scale.detach().exp())
        with torch.inference_mode():
            prepared = self.image_transform(Image.new("RGB", (64, 64), "gray"))
            self.image_dim = len(self.images({k: v[None] for k, v in prepared.items()})[0])
            self.text_dim = len(self.texts(self.tokens(["a"]))[0])

    def reload(self) -> None:
        files = self.files
        library = optional_import("open_clip", files.name, "clip")
        other = _other_repository(files.json(OPEN_CLIP_CONFIG))
        if other is not None:
            cached_or_allowed(other, files.name)
        with (
            BUILDING,
            refusing_panics(files.name),
            _without_asking(),
            files.staged() as directory,
        ):
            try:
                name = f"local-dir:{directory}"
                self._model, self._transform = library.create_model_from_pretrained(name)
                self._tokenizer = library.get_tokenizer(name)
            except CMRError:
                raise
            except Exception as error:
                reason = " ".join(str(error).replace(str(directory), "it").split())[:300]
                raise ModelFormatError(f"open_clip cannot load {files.name}: {reason}") from error
        self._model.eval().requires_grad_(False)
        refuse_meta_tensors(self._model, files.name)
        refuse_non_finite(self._model, files.name)

    @property
    def image_transform(self) -> Callable[[Image.Image], dict[str, Tensor]]:
        return _Transform(self._transform)

    def images(self, batch: dict[str, Tensor]) -> Tensor:
        rows: Tensor = self._model.encode_image(self.placement.tensor(batch["pixels"]))
        return rows

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        with self.lock, refusing_panics(self.files.name):
            return {"tokens": self._tokenizer(list(texts))}

    def texts(self, tokens: dict[str, Tensor]) -> Tensor:
        rows: Tensor = self._model.encode_text(self.placement.tensor(tokens["tokens"]))
        return rows

    def is_cut(self, text: str) -> bool:
        # Every token except the first and the last one stands for at least one byte.
        if not self._context or len(text.encode()) + 3 <= self._context:
            return False
        return self._count_tokens(text, self._context) < self._count_tokens(text, 4 * self._context)

    def _count_tokens(self, text: str, context_length: int) -> int:
        """Return the number of positions without padding."""
        with self.lock, refusing_panics(self.files.name):
            tokens, empty = self._tokenizer([text, ""], context_length=context_length)
        # Some networks (CLIPS) have a special token in the last position.
        return int((tokens != empty[-2]).sum())


class _Transform:
    """The transform of the library, with a name for its result."""

    def __init__(self, transform: Callable[[Image.Image], Tensor]) -> None:
        self._transform = transform

    def __call__(self, image: Image.Image) -> dict[str, Any]:
        return {"pixels": self._transform(image)}


def _other_repository(config: Any) -> str | None:
    """Return the repository with the configuration of the text tower; None for this one."""
    for key in ("model_cfg", "text_cfg", "hf_model_name"):
        config = config.get(key) if isinstance(config, dict) else None
    return config if isinstance(config, str) else None


@contextmanager
def _without_asking() -> Iterator[None]:
    """Make transformers refuse code of other repositories without asking the user."""
    from transformers import dynamic_module_utils as modules

    before, modules.TIME_OUT_REMOTE_CODE = modules.TIME_OUT_REMOTE_CODE, 0
    try:
        yield
    finally:
        modules.TIME_OUT_REMOTE_CODE = before
