"""Adapters for evaluating models with MTEB/MIEB and CLIP_benchmark; neither is a dependency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray


class MTEBEncoder:
    """A model as an encoder of `mteb` 2, for tasks on texts, on images and on both (MIEB).

    Inputs with an image and a text are encoded as the sum of both vectors. A text without any known
    word is encoded as zeros, which rank at chance level.

    Args:
        model: A model with both encoders.
        name: Name for the results, as `organisation/model`.
        revision: Revision for the results.

    Example:
        >>> import mteb                                                     # doctest: +SKIP
        >>> encoder = MTEBEncoder(cmr_hub.load("siglip2"), "google/siglip2")  # doctest: +SKIP
        >>> mteb.evaluate(encoder, mteb.get_tasks(["Flickr30kI2TRetrieval"])) # doctest: +SKIP
    """

    def __init__(
        self, model: CrossModalModel, name: str = "cmr-hub/model", revision: str = "1"
    ) -> None:
        self.model, self._name, self._revision = model, name, revision

    @property
    def mteb_model_meta(self) -> Any:
        """Description of the model for the results, as `mteb.ModelMeta`."""
        from mteb.models import ModelMeta

        facts = {
            "name": self._name,
            "revision": self._revision,
            "embed_dim": self.model.dim,
            "modalities": ["text", "image"],
            "similarity_fn_name": "cosine",
        }
        return ModelMeta.create_empty(facts)

    def encode(self, inputs: Iterable[Mapping[str, Any]], **_: Any) -> FloatArray:
        """Map batches with `image`, `text` or both to (N, d) float32 vectors."""
        batches = []
        for batch in inputs:
            parts = []
            if "image" in batch:
                parts.append(self.model.encode_images(list(batch["image"])))
            if "text" in batch:
                parts.append(_text_rows(self.model, batch["text"]))
            batches.append(_unit(sum(parts[1:], start=parts[0])))
        return np.concatenate(batches)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the (N, M) cosines of vectors."""
        first, second = _tensors(embeddings1, embeddings2)
        return first @ second.T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the (N,) cosines of the vectors in the same row."""
        first, second = _tensors(embeddings1, embeddings2)
        return (first * second).sum(-1)


class ClipBenchmarkModel:
    """A model as CLIP_benchmark calls it; see `clip_benchmark`."""

    def __init__(self, model: CrossModalModel) -> None:
        self._model = model
        self._preprocessing = model.image.required_encoder.preprocessing

    def transform(self, image: Image.Image) -> Any:
        """Convert a picture to the input pixels of the encoder."""
        return self._preprocessing.pixels(image.convert("RGB"))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Map a batch of results of `transform` to (B, d) unit vectors."""
        import torch

        rows = self._model.image.encode_pixels(pixels.cpu().numpy())
        return torch.from_numpy(rows).to(pixels.device)

    def encode_text(self, texts: _Texts) -> Tensor:
        """Map texts to (B, d) unit vectors."""
        import torch

        return torch.from_numpy(_text_rows(self._model, texts)).to(texts.device)


class _Texts(list[str]):
    """Texts that can be moved to a device, as tokens are."""

    device = "cpu"

    def to(self, device: str) -> _Texts:
        self.device = device
        return self


def clip_benchmark(model: CrossModalModel) -> tuple[ClipBenchmarkModel, Any, Any]:
    """Return `(model, transform, tokenizer)`, as the loaders of CLIP_benchmark do.

    Example:
        >>> from clip_benchmark.metrics import zeroshot_retrieval            # doctest: +SKIP
        >>> clip, transform, tokenizer = clip_benchmark(cmr_hub.load())     # doctest: +SKIP
        >>> zeroshot_retrieval.evaluate(                                     # doctest: +SKIP
        ...     clip, DataLoader(pictures(transform)), tokenizer, "cpu", amp=False
        ... )
    """
    clip = ClipBenchmarkModel(model)
    return clip, clip.transform, _Texts


def _text_rows(model: CrossModalModel, texts: Sequence[str]) -> FloatArray:
    rows = np.zeros((len(texts), model.dim), dtype=np.float32)
    known = [row for row, text in enumerate(texts) if model.text.knows((text,))]
    if known:
        rows[known] = model.encode_texts([texts[row] for row in known])
    return rows


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: FloatArray = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)
    return unit


def _tensors(*embeddings: Any) -> list[Tensor]:
    import torch

    return [torch.as_tensor(rows) for rows in embeddings]
