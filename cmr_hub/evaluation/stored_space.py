"""The embedded test split of a stored run, read back as a space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from cmr_hub.errors import ModelFormatError
from cmr_hub.evaluation.artifacts import EMBEDDINGS
from cmr_hub.evaluation.space import Space, SpaceItem


@dataclass(frozen=True)
class StoredSpace:
    """What an embeddings file says of itself."""

    path: Path
    dataset: str
    protocol: str
    preset: str
    image_encoder: str
    text_encoder: str
    cell: str
    seed: int
    kept: float

    @property
    def texts(self) -> str:
        """The text features, and the seed."""
        return f"{self.text_encoder} · seed {self.seed}"

    @property
    def split(self) -> str:
        """The protocol of its seed."""
        return self.protocol.replace("{seed}", str(self.seed))


def stored_spaces(results: str | Path) -> tuple[list[StoredSpace], list[str]]:
    """The embeddings files in a folder of results, and what is wrong with others."""
    found, problems = [], []
    for path in sorted((Path(results) / EMBEDDINGS).glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
            found.append(
                StoredSpace(
                    path,
                    dataset=facts["dataset"],
                    protocol=facts["protocol"],
                    preset=facts["preset"],
                    image_encoder=facts["image_encoder"],
                    text_encoder=facts["text_encoder"],
                    cell=facts["cell"],
                    seed=int(facts["seed"]),
                    kept=float(facts["kept"]),
                )
            )
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            problems.append(f"{path.name} is left out: {error or 'damaged'}")
    return found, problems


def read_stored_space(stored: StoredSpace, known: Mapping[str, SpaceItem] | None = None) -> Space:
    """Reads the vectors; items are those of `known` with their ids, with what it tells of them.

    Raises:
        ModelFormatError: the file is damaged.
    """
    try:
        with safe_open(stored.path, framework="numpy") as file:
            facts = file.metadata() or {}
            images = file.get_tensor("images").astype(np.float32)
            texts = file.get_tensor("texts").astype(np.float32)
            labels = file.get_tensor("labels").astype(np.int64)
            ids, classes = json.loads(facts["ids"]), json.loads(facts["classes"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelFormatError(f"{stored.path} holds no embeddings: {error}") from error
    count = len(ids)
    finite = np.isfinite(images).all() and np.isfinite(texts).all()
    if (
        images.shape != texts.shape
        or len(images) != count
        or labels.shape != (count,)
        or not finite
    ):
        raise ModelFormatError(f"{stored.path}: its parts do not fit each other")
    names = [classes[label] if 0 <= label < len(classes) else None for label in labels]
    items = tuple(
        (known or {}).get(id_) or SpaceItem(id_, name) for id_, name in zip(ids, names, strict=True)
    )
    rows = np.arange(count)
    return Space(images, texts, rows, rows, items, kept=stored.kept)
