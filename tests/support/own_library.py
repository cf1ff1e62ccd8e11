"""Reference results of transformers and open_clip, called as their documentation describes.

Pictures are read with `read_image`, and all items are encoded one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cmr_hub.datasets.images import read_image

SIGLIP = {"padding": "max_length", "max_length": 64, "truncation": True}
LONGEST = {"padding": True, "truncation": True}
HOW: dict[str, dict[str, Any]] = {
    "siglip": SIGLIP,
    "siglip2": SIGLIP,
    "siglip2-naflex": SIGLIP,
    # The number of positions; the published tokeniser does not define a maximum length.
    "chinese-clip": {**LONGEST, "max_length": 40},
    "align": SIGLIP,
}
"""Processor arguments by family; other families use `LONGEST`."""


class Transformers:
    """AutoModel and AutoProcessor.

    Args:
        directory: directory of the model.
        how: processor arguments for texts.
        lower: whether to convert texts to lower case first, as in the training of SigLIP 2.
    """

    def __init__(self, directory: Path, how: dict[str, Any] = LONGEST, *, lower: bool = False):
        from transformers import AutoModel, AutoProcessor

        self.network = AutoModel.from_pretrained(directory).eval()
        self.processor = AutoProcessor.from_pretrained(directory)
        self.how, self.lower = how, lower

    def images(self, pictures: Sequence[Path | Image.Image]) -> np.ndarray:
        """Return (N, d) unit vectors."""
        return _unit([self._outputs("a", read_image(one)).image_embeds for one in pictures])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (N, d) unit vectors."""
        given = [text.lower() for text in texts] if self.lower else texts
        grey = Image.new("RGB", (40, 40), "grey")
        return _unit([self._outputs(text, grey).text_embeds for text in given])

    def _outputs(self, text: str, picture: Image.Image) -> Any:
        # The joint forward pass, whose outputs are compared in training.
        given = {
            **self.processor(text=[text], return_tensors="pt", **self.how),
            **self.processor(images=[picture], return_tensors="pt"),
        }
        with torch.inference_mode():
            return self.network(**given)


class OpenClip:
    """create_model_and_transforms and get_tokenizer."""

    def __init__(self, directory: Path) -> None:
        import open_clip

        name = f"local-dir:{directory}"
        self.network, _, self.transform = open_clip.create_model_and_transforms(name)
        self.network.eval()
        self.tokenizer = open_clip.get_tokenizer(name)

    def images(self, pictures: Sequence[Path | Image.Image]) -> np.ndarray:
        """Return (N, d) unit vectors."""
        with torch.inference_mode():
            shown = [self.transform(read_image(one))[None] for one in pictures]
            return _unit([self.network.encode_image(one, normalize=True) for one in shown])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (N, d) unit vectors."""
        with torch.inference_mode():
            tokens = [self.tokenizer([text]) for text in texts]
            return _unit([self.network.encode_text(one, normalize=True) for one in tokens])


def own_library(family: str, directory: Path) -> Transformers | OpenClip:
    """Return the library of a family of `tiny_models` or `tiny_open_clip`."""
    if family.startswith("open_clip"):
        return OpenClip(directory)
    lower = family.startswith("siglip2")
    return Transformers(directory, HOW.get(family, LONGEST), lower=lower)


def _unit(rows: Sequence[torch.Tensor]) -> np.ndarray:
    stacked = torch.cat(list(rows)).double()
    return (stacked / stacked.norm(dim=1, keepdim=True)).numpy()
