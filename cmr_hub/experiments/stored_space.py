"""Read the stored test embeddings of a run as a `Space`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open

from cmr_hub.errors import ModelFormatError
from cmr_hub.experiments.artifacts import EMBEDDINGS
from cmr_hub.experiments.space import Space, SpaceItem
from cmr_hub.outside import check_file

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray

LARGEST_STORED: Final = 2**30
"""Maximum size of a file in bytes; 32-dimensional embeddings take a few megabytes."""


@dataclass(frozen=True)
class StoredSpace:
    """The metadata of an embeddings file."""

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
        """The text encoder and the seed, for display."""
        return f"{self.text_encoder} · seed {self.seed}"

    @property
    def split(self) -> str:
        """The protocol with its seed filled in."""
        return self.protocol.replace("{seed}", str(self.seed))


def stored_spaces(results: str | Path) -> tuple[list[StoredSpace], list[str]]:
    """Return the embeddings files in a results folder, and messages about unreadable ones."""
    found, problems = [], []
    for path in sorted((Path(results) / EMBEDDINGS).glob("*.safetensors")):
        try:
            check_file(path, LARGEST_STORED, below=results)
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
    """Read the vectors and items; items are taken from `known` by id, if available.

    Raises:
        ModelFormatError: the file is damaged.
    """
    try:
        check_file(stored.path, LARGEST_STORED)
        with safe_open(stored.path, framework="numpy") as file:
            facts = file.metadata() or {}
            images, texts = (_numbers(file.get_tensor(name)) for name in ("images", "texts"))
            labels = file.get_tensor("labels").astype(np.int64)
            ids, classes = _names(facts["ids"]), _names(facts["classes"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{stored.path} contains no embeddings: {error}") from error
    count = len(ids)
    finite = np.isfinite(images).all() and np.isfinite(texts).all()
    if (
        images.ndim != 2
        or images.shape != texts.shape
        or len(images) != count
        or labels.shape != (count,)
        or not finite
    ):
        raise ModelFormatError(f"{stored.path} is damaged: its arrays do not match")
    names = [classes[label] if 0 <= label < len(classes) else None for label in labels]
    items = tuple(
        (known or {}).get(id_) or SpaceItem(id_, name) for id_, name in zip(ids, names, strict=True)
    )
    rows = np.arange(count)
    return Space(images, texts, rows, rows, items, kept=stored.kept)


def _numbers(array: npt.NDArray[Any]) -> FloatArray:
    if array.dtype.kind != "f":
        raise ValueError(f"vectors are {array.dtype}")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _names(text: str) -> list[str]:
    names = json.loads(text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("names are not strings")
    return names
