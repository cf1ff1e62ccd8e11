"""Encoders in the format of open_clip: LAION's, DataComp's, MobileCLIP and others."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from PIL import Image

from cmr_hub.encoders.meta import refuse_meta_tensors, without_weights
from cmr_hub.encoders.optional import optional_import
from cmr_hub.encoders.pretrained.backbone import Backbone
from cmr_hub.encoders.pretrained.files import OPEN_CLIP_CONFIG
from cmr_hub.encoders.pretrained.hub import cached_or_allowed
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.errors import CMRError, ModelFormatError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.encoders.pretrained.files import PretrainedFiles

_loading = threading.Lock()


class OpenClipBackbone(Backbone):
    """A model of open_clip, with its own transform and tokeniser.

    Args:
        files: with an `open_clip_config.json`.

    Raises:
        CMRError: open_clip is not installed, or the text tower's configuration is another
            repository's that is not cached and must not be fetched.
        ModelFormatError: open_clip cannot read the files.
    """

    def __init__(self, files: PretrainedFiles) -> None:
        super().__init__()
        self.files = files
        ensure_torchvision()
        library = optional_import("open_clip", files.name, "clip")
        text = files.json(OPEN_CLIP_CONFIG).get("model_cfg", {}).get("text_cfg", {})
        if isinstance(text, dict) and isinstance(text.get("hf_model_name"), str):
            cached_or_allowed(text["hf_model_name"], files.name)
        with _loading, files.staged() as directory:
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
        self._context = int(getattr(self._tokenizer, "context_length", 0) or 0)
        scale = getattr(self._model, "logit_scale", None)
        self.logit_scale = None if scale is None else float(scale.detach().exp())
        with torch.inference_mode():
            prepared = self.image_transform(Image.new("RGB", (64, 64), "gray"))
            self.image_dim = len(self.images({k: v[None] for k, v in prepared.items()})[0])
            self.text_dim = len(self.texts(self.tokens(["a"]))[0])

    @property
    def network(self) -> nn.Module:
        found: nn.Module = self._model
        return found

    @property
    def image_transform(self) -> Callable[[Image.Image], dict[str, Tensor]]:
        return _Transform(self._transform)

    def images(self, batch: dict[str, Tensor]) -> Tensor:
        rows: Tensor = self._model.encode_image(self.placement.tensor(batch["pixels"]))
        return rows

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        with self.lock:
            return {"tokens": self._tokenizer(list(texts))}

    def texts(self, tokens: dict[str, Tensor]) -> Tensor:
        rows: Tensor = self._model.encode_text(self.placement.tensor(tokens["tokens"]))
        return rows

    def without_weights(self) -> Self:
        other = copy.copy(self)
        other._model = without_weights(self._model)
        return other

    def is_cut(self, text: str) -> bool:
        if not self._context or len(text) + 2 <= self._context:
            return False
        with self.lock:
            (tokens,) = self._tokenizer([text], context_length=2 * len(text) + 2)
        padding = int(tokens[-1])
        return int((tokens != padding).sum()) > self._context


class _Transform:
    """The library's transform with a name for what it gives."""

    def __init__(self, transform: Callable[[Image.Image], Tensor]) -> None:
        self._transform = transform

    def __call__(self, image: Image.Image) -> dict[str, Any]:
        return {"pixels": self._transform(image)}
