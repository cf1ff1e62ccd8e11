"""What runs leave beside their line in the store: curves, and embeddings of the best run."""

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
"""Of stored embeddings: enough to draw them, and the files stay small."""

_KEY = re.compile(r"[0-9A-Za-z-]+")  # it becomes the name of a file
_DIGITS = 4
_SAME_IN_EVERY_RUN = ("phase", "learning_rate", "seconds")


def curve_path(results: Path, cell: str) -> Path:
    """Where the training curve of a cell is. Raises ModelFormatError for what is no cell's key."""
    if not _KEY.fullmatch(cell):
        raise ModelFormatError(f"{shown(cell)} is not the key of a run")
    return results / CURVES / f"{cell[:16]}.json"


def write_curve(history: list[dict[str, Any]], results: Path, cell: str) -> None:
    """Stores a history as `{phase: {column: [one value an epoch]}}`, rounded to four digits."""
    phases: dict[str, dict[str, list[float | None]]] = {}
    for row in history:
        columns = phases.setdefault(row["phase"], {})
        for name, value in row.items():
            if name not in _SAME_IN_EVERY_RUN:
                columns.setdefault(name, []).append(_rounded(value))
    with atomic_file(curve_path(results, cell)) as path:
        path.write_text(json.dumps(phases, separators=(",", ":"), allow_nan=False) + "\n")


def read_curve(results: Path, cell: str) -> dict[str, dict[str, list[float | None]]] | None:
    """The training curve of a cell; None for a cell that was not trained by epochs.

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
    whole = isinstance(phases, dict) and all(
        isinstance(columns, dict) and all(isinstance(column, list) for column in columns.values())
        for columns in phases.values()
    )
    if not whole:
        raise ModelFormatError(f"{path} is not a training curve")
    return phases  # type: ignore[no-any-return]


def _rounded(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class TestEmbeddings:
    """The embedded test split of one run of a preset as it stands.

    Attributes:
        images, texts: (N, d) unit vectors; row i of both belong together.
        labels: (N,) positions in `classes`.
        ids: N names of items.
        protocol: with `{seed}` where every seed has its own split.
        settings: the preset's.
        validation_map: what the best run is chosen by; None for a preset without validation.
    """

    __test__ = False  # no test class, whatever pytest makes of its name

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
        """`embeddings/<dataset>-<protocol>-<preset>.safetensors`."""
        protocol = self.protocol.replace("-{seed}", "").replace("{seed}", "").replace("/", "-")
        return (
            results / EMBEDDINGS / f"{self.dataset}-{protocol}-{self.settings['name']}.safetensors"
        )

    @property
    def rank(self) -> tuple[float, int]:
        """Higher is better; of equal validation figures the smaller seed."""
        return _rank(self.validation_map, self.seed)


def keep_embeddings(embeddings: TestEmbeddings, results: Path, stored: Collection[str]) -> bool:
    """Writes the embeddings unless a better run of the same preset is there. Says whether.

    "Better" is by validation MAP, never by a test figure. A run that is no longer in the store,
    or of the preset before it was changed, gives way.

    The file holds `images` and `texts` (N, k) float16, `labels` (N,) int16, and in its metadata
    ids, classes and what was run. k is at most `DRAWN_DIMENSIONS`: the directions that keep the
    dot products best (truncated singular value decomposition of both modalities together); the
    metadata's `kept` is the share of squared length that is left.
    """
    target = embeddings.path(results)
    digest = hashlib.sha256(json.dumps(embeddings.settings, sort_keys=True).encode()).hexdigest()
    before = _metadata(target)
    if before.get("cell") in stored and before.get("settings_sha256") == digest:
        standing = _standing(before)
        if standing is not None and standing > embeddings.rank:
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
    """Higher is better; of equal validation figures the smaller seed."""
    return (-1.0 if validation_map is None else validation_map, -seed)


def _standing(metadata: dict[str, str]) -> tuple[float, int] | None:
    """The rank of a stored run; None where the file does not tell."""
    try:
        figure = json.loads(metadata["validation_map"])
        return _rank(None if figure is None else float(figure), int(metadata["seed"]))
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return None


def _metadata(path: Path) -> dict[str, str]:
    """What a stored file says of itself; nothing where there is none or it is damaged."""
    try:
        check_file(path)
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
