"""Compute the image encoder's features of a gallery's pictures in the background."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.array_files import load_arrays, save_arrays
from cmr_hub.errors import CMRError
from cmr_hub.experiments.space import MAX_VECTORS
from cmr_hub.projections.background import Background, work

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray


@dataclass(frozen=True)
class FeatureState:
    """The state of a computation; both attributes are empty while it runs.

    Attributes:
        rows: (Ni, D) features of the pictures that have a vector, in their order.
        problem: error message.
    """

    rows: FloatArray | None = None
    problem: str = ""


class FeatureJobs:
    """Compute the raw features of galleries and cache them in a folder; see `MapJobs`.

    Args:
        folder: folder of the cached features.
        device: device of the encoders, as `load` accepts it.
    """

    def __init__(self, folder: str | Path, device: str = "auto") -> None:
        self.folder, self.device = Path(folder), device
        self.background = Background(self.folder)

    def state(self, model: str | Path, facts: str) -> FeatureState:
        """Return the cached features, or start to compute them.

        Args:
            model: directory of a gallery, or of a model with a gallery.
            facts: a text that changes with the gallery.
        """
        directory = str(Path(model).resolve())
        identity = f"{directory}\n{facts}\n{self.device}\n{MAX_VECTORS}"
        key = hashlib.sha256(identity.encode()).hexdigest()[:32]
        module = "cmr_hub.apps.dashboard.raw_features"
        rows, job = self.background.result(
            key,
            lambda: _read(self.folder / f"{key}.safetensors"),
            lambda: [module, str(self.folder), key, directory, self.device],
        )
        return FeatureState(rows, job.problem)

    def compute(self, key: str, directory: str) -> None:
        """Compute and store the features of a gallery; run in the background process."""

        def do(_report: object) -> None:
            rows = raw_features(directory, self.device)
            save_arrays(self.folder / f"{key}.safetensors", {"images": rows})

        work(self.folder, key, do)


def raw_features(directory: str | Path, device: str = "auto") -> FloatArray:
    """Compute the (Ni, D) features of a gallery's pictures, or of a sample, with the feature cache.

    Raises:
        CMRError: the gallery does not exist, its model is missing or has no image encoder, or a
            picture is missing or unreadable.
    """
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.gallery.space import space_of
    from cmr_hub.loading import open_gallery

    gallery = open_gallery(directory, device=device)
    model = gallery.model
    if model is None or not model.image.has_encoder:
        raise CMRError("the model of this gallery has no image encoder; select another gallery")
    space = space_of(gallery.store, max_vectors=MAX_VECTORS)
    paths = [space.items[int(row)].path for row in space.image_rows]
    files = [path for path in paths if path is not None]
    if not files or len(files) < len(paths):
        raise CMRError("some pictures of this gallery are missing on this machine")
    return np.asarray(FeatureCache().encode(model.image.required_encoder, files), np.float32)


def _read(path: Path) -> FloatArray | None:
    rows = (load_arrays(path) or {}).get("images")
    if rows is None or rows.ndim != 2 or rows.dtype != np.float32:
        return None
    return rows if np.isfinite(rows).all() else None


if __name__ == "__main__":
    FeatureJobs(sys.argv[1], sys.argv[4]).compute(*sys.argv[2:4])
