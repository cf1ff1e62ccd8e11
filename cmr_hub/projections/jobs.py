"""Compute maps in background processes and cache them on disk."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cmr_hub.array_files import load_arrays, save_arrays
from cmr_hub.atomic import atomic_file
from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import ModelFormatError
from cmr_hub.projections.background import Background, work
from cmr_hub.projections.methods import Progress, ProjectionOptions, project_stages

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray

VERSION: Final = 2
"""Version of the methods; a new version invalidates cached maps."""


@dataclass(frozen=True, eq=False)
class MapInput:
    """(N, d) rows of the same points at several stages; see `project_stages`."""

    stages: Sequence[FloatArray]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all rows."""
        return sha256_of_arrays({f"{number:04}": rows for number, rows in enumerate(self.stages)})


@dataclass(frozen=True)
class MapState:
    """The state of a map.

    Attributes:
        maps: (N, k) coordinates for each stage; None until the map is computed.
        share: completed fraction of the work, in [0, 1].
        problem: error message; empty if there is no error.
    """

    maps: list[FloatArray] | None = None
    share: float = 0.0
    problem: str = ""


class MapJobs:
    """Cache maps in a folder and compute missing ones in the background.

    Args:
        folder: folder of the cache.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.background = Background(self.folder)

    def key(self, points: MapInput, options: ProjectionOptions) -> str:
        """Return a hash of the rows and of all options that affect the map."""
        facts = json.dumps([VERSION, options.used(), points.digest], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:32]

    def state(self, points: MapInput, options: ProjectionOptions) -> MapState:
        """Return the cached map, or start to compute it and return the progress."""
        key = self.key(points, options)
        file = self.folder / f"{key}.safetensors"

        def command() -> list[str]:
            rows = {f"{n:04}": np.ascontiguousarray(stage) for n, stage in enumerate(points.stages)}
            with atomic_file(self._input(key)) as path:
                path.write_bytes(save(rows, {"options": options.model_dump_json()}))
            return ["cmr_hub.projections.jobs", str(self.folder), key]

        maps, job = self.background.result(key, lambda: _read_map(file, points), command)
        return MapState(maps, job.share, job.problem)

    def compute(self, key: str) -> None:
        """Compute a map from its input file and store it; run in the background process."""
        source = self._input(key)
        try:
            with safe_open(source, framework="numpy") as file:
                options = ProjectionOptions.model_validate_json((file.metadata() or {})["options"])
                stages = [file.get_tensor(name) for name in sorted(file.keys())]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelFormatError(f"{source} is not a valid input of a map: {error}") from error
        source.unlink()

        def do(report: Progress) -> None:
            maps = project_stages(stages, options, report)
            named = {f"{number:04}": stage for number, stage in enumerate(maps)}
            save_arrays(self.folder / f"{key}.safetensors", named)

        work(self.folder, key, do)

    def _input(self, key: str) -> Path:
        return self.folder / f"{key}.input"


def _read_map(path: Path, points: MapInput) -> list[FloatArray] | None:
    """Return a stored map, or None if it is missing or damaged."""
    arrays = load_arrays(path) or {}
    maps = [arrays[name] for name in sorted(arrays)]
    lengths = [len(rows) for rows in points.stages]
    is_valid = all(rows.ndim == 2 and rows.dtype.kind == "f" for rows in maps)
    if not is_valid or lengths != [len(rows) for rows in maps]:
        return None
    return maps if all(np.isfinite(rows).all() for rows in maps) else None


if __name__ == "__main__":
    MapJobs(sys.argv[1]).compute(sys.argv[2])
