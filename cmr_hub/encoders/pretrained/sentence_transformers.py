"""Encoders of sentence-transformers: CLIP, SigLIP, ALIGN, BERT, DINOv2 and many others."""

from __future__ import annotations

import logging
import re
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
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.errors import CMRError, ModelFormatError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from cmr_hub.encoders.pretrained.files import PretrainedFiles
    from cmr_hub.types import JSONObject

# A process that receives a pickled transform imports this module before the classes of the
# transform, which need torchvision.
ensure_torchvision()
_STYLE = r"(?:\x1b\[\d+m)*"
_MISSING = re.compile(rf"^{_STYLE}([\w.{{}}, -]+?)\s*\|\s*{_STYLE}MISSING", re.MULTILINE)
# These networks use the state of the last token, so texts must be padded as in training.
# SigLIP 2 was trained on lower-case text, but its tokeniser does not lower the case.
_PADDED = ("siglip", "siglip2")
_LONG = 20_000
"""Number of words of a text that is longer than the maximum length of any network."""
_NOT_INSTALLED = "was not found in your environment"
"""Part of the error messages of transformers if a network needs another library."""


class SentenceTransformersBackbone(Backbone):
    """A `SentenceTransformer` with its processor, tokeniser and pooling.

    Args:
        files: Files of a model that sentence-transformers (6.2 or newer) can load.

    Raises:
        CMRError: sentence-transformers, or a library that these files need, such as SentencePiece,
            is not installed.
        ModelFormatError: The files cannot be read, weights are missing, or the model needs custom
            code.
    """

    def __init__(self, files: PretrainedFiles) -> None:
        super().__init__()
        self.files = files
        self._model = _load(files)
        first = self._model[0]
        config = getattr(first, "config", None)
        kind = str(getattr(config, "model_type", ""))
        self._lower = kind in _PADDED
        self._is_transformer = hasattr(first, "input_formatter")
        self._prompt = self._model.prompts.get(self._model.default_prompt_name or "")
        reads = self._model.modalities
        self._processing: dict[str, Any] = {}
        self._max_tokens = 0
        if self._is_transformer and "text" in reads:
            positions = _positions(first.model)
            if self._lower:
                text = {"padding": "max_length", "max_length": positions, "truncation": True}
                self._processing = {"processing_kwargs": {"text": text}}
            elif positions:
                # Some repositories, such as Chinese-CLIP, do not define a maximum length.
                first.max_seq_length = min(first.max_seq_length, positions)
            self._max_tokens = self._measure_max_tokens()
        self._transform = _ImageTransform(first.processor) if "image" in reads else None
        scale = getattr(getattr(first, "model", None), "logit_scale", None)
        self.logit_scale = None if scale is None else float(scale.detach().exp())
        # The modality and the length of the prompt, which are equal for all texts.
        self._constant: dict[str, Any] = {}
        if "text" in reads:
            features = self._features(["a"])
            self._constant = {
                name: value
                for name, value in features.items()
                if not isinstance(value, torch.Tensor)
            }
        self.image_dim = self.text_dim = None
        with torch.inference_mode():
            if self._transform is not None:
                pixels = self._transform(Image.new("RGB", (64, 64), "gray"))
                rows = self.images({name: value[None] for name, value in pixels.items()})
                self.image_dim = len(rows[0])
            if "text" in reads:
                self.text_dim = len(self.texts(self.tokens(["a"]))[0])

    def reload(self) -> None:
        self._model = _load(self.files)

    @property
    def image_transform(self) -> Callable[[Image.Image], dict[str, Tensor]]:
        if self._transform is None:
            raise CMRError(f"{self.files.name} cannot encode pictures: use it as a text encoder")
        return self._transform

    def images(self, batch: dict[str, Tensor]) -> Tensor:
        placed = {name: self.placement.tensor(value) for name, value in batch.items()}
        rows: Tensor = self._model({**placed, "modality": "image"})["sentence_embedding"]
        return rows

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        features = self._features(texts)
        return {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}

    def tokeniser(self) -> tuple[JSONObject, str] | None:
        backend = getattr(self._model.tokenizer, "backend_tokenizer", None)
        if backend is None:
            return None
        self._features(["a"])  # sets truncation and padding
        return {"lower": self._lower, "prompt": self._prompt}, backend.to_str()

    def texts(self, tokens: dict[str, Tensor]) -> Tensor:
        placed = {name: self.placement.tensor(value) for name, value in tokens.items()}
        rows: Tensor = self._model({**self._constant, **placed})["sentence_embedding"]
        return rows

    def is_cut(self, text: str) -> bool:
        prepared = (self._prompt or "") + (text.lower() if self._lower else text)
        # Every token except the first and the last one stands for at least one byte.
        if not self._max_tokens or len(prepared.encode()) + 3 <= self._max_tokens:
            return False
        with self.lock, refusing_panics(self.files.name):
            tokens = self._model.tokenizer(prepared, truncation=False, verbose=False)["input_ids"]
        return len(tokens) > self._max_tokens

    def _features(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the inputs of the network for texts."""
        inputs: Any = [text.lower() for text in texts] if self._lower else list(texts)
        if self._is_transformer:
            # A bare string that is a URL or the path of a picture would be opened.
            inputs = [{"text": text} for text in inputs]
        with self.lock, refusing_panics(self.files.name):
            features: dict[str, Any] = self._model.preprocess(
                inputs, prompt=self._prompt, **self._processing
            )
        return features

    def _measure_max_tokens(self) -> int:
        """Return the maximum number of tokens of a text; 0 for no limit."""
        tokens = self._features(["a " * _LONG]).get("input_ids")
        count = 0 if tokens is None else int(tokens.shape[-1])
        return count if count < _LONG else 0


class _ImageTransform:
    """Image processor of transformers, as a picklable object."""

    def __init__(self, processor: Any) -> None:
        self._processor = getattr(processor, "image_processor", processor)

    def __call__(self, image: Image.Image) -> dict[str, Tensor]:
        features = self._processor(images=[image], return_tensors="pt")
        return {
            name: value[0] for name, value in features.items() if isinstance(value, torch.Tensor)
        }


def _load(files: PretrainedFiles) -> Any:
    library = optional_import("sentence_transformers", files.name, "clip")
    with (
        BUILDING,
        refusing_panics(files.name),
        files.staged() as directory,
        _quiet() as report,
    ):
        try:
            model = library.SentenceTransformer(
                str(directory),
                device="cpu",
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except Exception as error:  # transformers has no base class for errors of files
            reason = _reason(error, directory)
            if _NOT_INSTALLED in reason:
                need = reason.partition(_NOT_INSTALLED)[0].removesuffix(" but it ")
                raise CMRError(
                    f"{files.name}: {need}, which is not installed: pip install 'cmr-hub[clip]'"
                ) from error
            raise ModelFormatError(
                f"sentence-transformers cannot load {files.name}: {reason}"
            ) from error
        missing = _MISSING.findall("\n".join(report))
        if missing and all("pooler" in name for name in missing) and _returns_tokens(model[0]):
            # These heads are used only in pre-training, because rows are pooled from tokens.
            missing = []
        elif not missing:
            model = _with_pooler_output(model, directory)
    if missing:
        raise ModelFormatError(
            f"{files.name} is incomplete: its files have no weights for {len(missing)} tensors, "
            f"for example {missing[0]}: choose a complete repository or download it again"
        )
    model = model.eval().requires_grad_(False)
    refuse_meta_tensors(model, files.name)
    refuse_non_finite(model, files.name)
    return model


def _returns_tokens(first: Any) -> bool:
    """Return whether a network returns the states of tokens instead of pooled rows."""
    outputs = getattr(first, "modality_config", {}).values()
    return all(output["method_output_name"] == "last_hidden_state" for output in outputs)


def _with_pooler_output(model: Any, directory: Path) -> Any:
    """Return a network that returns its pooled row, if it has one.

    This applies to networks for pictures only, whose row is the class token (DINOv2) or the
    normalised mean over positions (ConvNeXt), and to the text network of CLIP, which was trained
    on the state of the last token.
    """
    first = model[0]
    reads = getattr(first, "modalities", [])
    if len(model) != 2:
        return model
    if reads == ["text"] and first.config.model_type == "clip_text_model":
        return _pooled(model, "text")
    if reads != ["image"]:
        return model
    pixels = _ImageTransform(first.processor)(Image.new("RGB", (64, 64), "gray"))
    with torch.inference_mode():
        outputs = first.model(**{name: value[None] for name, value in pixels.items()})
    pooled = getattr(outputs, "pooler_output", None)
    if pooled is None or pooled.flatten(1).shape[1] != model.get_embedding_dimension():
        return model
    return _pooled(model, "image")


def _pooled(model: Any, modality: str) -> Any:
    first = model[0]
    first.modality_config = {modality: {"method": "forward", "method_output_name": "pooler_output"}}
    first.module_output_name = "sentence_embedding"
    return type(model)(modules=[first, _Flatten()], device="cpu")


class _Flatten(torch.nn.Module):
    """Flatten pooled 1 × 1 maps of convolutional networks to rows."""

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        features["sentence_embedding"] = features["sentence_embedding"].flatten(1)
        return features


def _positions(network: nn.Module) -> int:
    """Return the number of position embeddings of a text; 0 without such a table."""
    for name, module in network.named_modules():
        is_position = name.rpartition(".")[2].startswith("position_embedding")
        if is_position and isinstance(module, torch.nn.Embedding) and "vision" not in name:
            # The positions of RoBERTa start after the position of padding.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - first
    return 0


def _reason(error: Exception, directory: Path) -> str:
    text = " ".join(str(error).replace(str(directory), "it").split())
    if "trust_remote_code" in text:
        return "it needs custom code, which is never run"
    return text[:300] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Collect the log messages of transformers, and hide its progress bars and tables."""
    from transformers.utils import logging as transformers_logging

    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    root = logging.getLogger("transformers")
    handlers, propagate, level = root.handlers[:], root.propagate, root.level
    has_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    root.handlers, root.propagate = [Collect()], False
    root.setLevel(logging.WARNING)
    try:
        yield messages
    finally:
        root.handlers, root.propagate = handlers, propagate
        root.setLevel(level)
        if has_bars:
            transformers_logging.enable_progress_bar()
