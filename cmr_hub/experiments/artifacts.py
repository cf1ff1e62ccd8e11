"""Files that a run stores in addition to its record: training curves and test embeddings."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cmr_hub.atomic import atomic_file
from cmr_hub.errors import ModelFormatError, shown
from cmr_hub.outside import check_file, read_json

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray, IntArray, JSONObject

CURVES = "curves"
EMBEDDINGS = "embeddings"
DRAWN_DIMENSIONS = 32
"""Dimensions of stored embeddings, enough for plots in small files."""

_KEY = re.compile(r"[0-9A-Za-z-]+")  # part of a file name
_DIGITS = 4
_SAME_IN_EVERY_RUN = ("phase", "learning_rate", "seconds")


def curve_path(results: Path, cell: str) -> Path:
    """Return the path of a cell's training curve. Raises ModelFormatError for an invalid key."""
    if not _KEY.fullmatch(cell):
        raise ModelFormatError(f"{shown(cell)} is not the key of a run")
    return results / CURVES / f"{cell[:16]}.json"


def write_curve(history: list[dict[str, Any]], results: Path, cell: str) -> None:
    """Store a history as `{phase: {column: [value of each epoch]}}`, rounded to four digits."""
    phases: dict[str, dict[str, list[float | None]]] = {}
    for row in history:
        columns = phases.setdefault(row["phase"], {})
        for name, value in row.items():
            if name not in _SAME_IN_EVERY_RUN:
                columns.setdefault(name, []).append(_rounded(value))
    with atomic_file(curve_path(results, cell)) as path:
        path.write_text(json.dumps(phases, separators=(",", ":"), allow_nan=False) + "\n")


def read_curve(results: Path, cell: str) -> dict[str, dict[str, list[float | None]]] | None:
    """Read the training curve of a cell; None if the cell was not trained in epochs.

    Raises:
        ModelFormatError: the file is damaged.
    """
    path = curve_path(results, cell)
    if not path.exists():
        return None
    try:
        phases = read_json(path, below=results)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not a training curve: {error}") from error
    is_valid = isinstance(phases, dict) and all(
        isinstance(columns, dict) and all(isinstance(column, list) for column in columns.values())
        for columns in phases.values()
    )
    if not is_valid:
        raise ModelFormatError(f"{path} is not a training curve")
    return phases  # type: ignore[no-any-return]


def _rounded(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class TestEmbeddings:
    """The embedded test split of one run of an unmodified preset.

    Attributes:
        images, texts: (N, d) unit vectors; row i of both is one pair.
        labels: (N,) indices into `classes`.
        ids: N ids of items.
        protocol: contains `{seed}` if every seed has its own split.
        settings: settings of the preset.
        validation_map: selects the best run; None for a preset without validation.
    """

    __test__ = False  # pytest takes the name for a test class

    images: FloatArray
    texts: FloatArray
    labels: IntArray
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    dataset: str
    protocol: str
    image_encoder: str
    text_encoder: str
    settings: JSONObject
    cell: str
    seed: int
    validation_map: float | None

    def path(self, results: Path) -> Path:
        """Return `embeddings/<dataset>-<protocol>-<preset>.safetensors`."""
        protocol = self.protocol.replace("-{seed}", "").replace("{seed}", "").replace("/", "-")
        return (
            results / EMBEDDINGS / f"{self.dataset}-{protocol}-{self.settings['name']}.safetensors"
        )

    @property
    def rank(self) -> tuple[float, int]:
        """Sort key: higher is better; ties go to the smaller seed."""
        return _rank(self.validation_map, self.seed)


def keep_embeddings(embeddings: TestEmbeddings, results: Path, stored: Collection[str]) -> bool:
    """Write the embeddings unless those of a better run of the same preset are stored.

    Runs are compared by validation MAP, never by a test figure. Embeddings are always replaced if
    their run is no longer in the store or the preset has changed since.

    The file contains `images` and `texts` (N, k) float16, `labels` (N,) int16, and in its metadata
    ids, classes and a description of the run. k is at most `DRAWN_DIMENSIONS`: the truncated
    singular value decomposition of both modalities together, which preserves the dot products best.
    The metadata field `kept` is the share of the squared length that remains.

    Returns:
        Whether the file was written.
    """
    target = embeddings.path(results)
    digest = hashlib.sha256(json.dumps(embeddings.settings, sort_keys=True).encode()).hexdigest()
    stored_metadata = _metadata(target)
    if stored_metadata.get("cell") in stored and stored_metadata.get("settings_sha256") == digest:
        stored_rank = _stored_rank(stored_metadata)
        if stored_rank is not None and stored_rank > embeddings.rank:
            return False
    both = np.concatenate([embeddings.images, embeddings.texts]).astype(np.float64)
    left, values, _ = np.linalg.svd(both, full_matrices=False)
    k = min(DRAWN_DIMENSIONS, len(values))
    rows = (left[:, :k] * values[:k]).astype(np.float16)
    n = len(embeddings.images)
    metadata = {
        "dataset": embeddings.dataset,
        "protocol": embeddings.protocol,
        "preset": str(embeddings.settings["name"]),
        "image_encoder": embeddings.image_encoder,
        "text_encoder": embeddings.text_encoder,
        "cell": embeddings.cell,
        "seed": str(embeddings.seed),
        "settings_sha256": digest,
        "validation_map": json.dumps(embeddings.validation_map),
        "kept": f"{float((values[:k] ** 2).sum() / (values**2).sum()):.4f}",
        "ids": json.dumps(embeddings.ids),
        "classes": json.dumps(embeddings.classes),
    }
    tensors = {
        "images": np.ascontiguousarray(rows[:n]),
        "texts": np.ascontiguousarray(rows[n:]),
        "labels": embeddings.labels.astype(np.int16),
    }
    with atomic_file(target) as path:
        path.write_bytes(save(tensors, metadata))
    return True


def _rank(validation_map: float | None, seed: int) -> tuple[float, int]:
    return (-1.0 if validation_map is None else validation_map, -seed)


def _stored_rank(metadata: dict[str, str]) -> tuple[float, int] | None:
    """Return the rank of a stored run; None if its metadata is incomplete."""
    try:
        figure = json.loads(metadata["validation_map"])
        return _rank(None if figure is None else float(figure), int(metadata["seed"]))
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return None


def _metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file; empty if the file is missing or damaged."""
    try:
        check_file(path)
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
