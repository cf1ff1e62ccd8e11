"""Maps that are computed once, in a process of their own, and kept on disk."""

from __future__ import annotations

import atexit
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cmr_hub.atomic import atomic_file
from cmr_hub.cache_home import default_cache_home
from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import CMRError
from cmr_hub.projections.methods import ProjectionOptions, project_stages

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray

VERSION: Final = 1
"""Of the methods: a higher one makes older maps be computed anew."""


@dataclass(frozen=True)
class MapState:
    """Where a map stands.

    Attributes:
        maps: (N, k) coordinates of every stage; None until they are there.
        share: of the work that is done, in [0, 1].
        problem: why there will be none; empty if nothing is wrong.
    """

    maps: list[FloatArray] | None = None
    share: float = 0.0
    problem: str = ""


class MapJobs:
    """Computes maps in processes, so that the page that asks goes on.

    Args:
        folder: where maps are kept; by default `maps` in the cache home.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder else default_cache_home() / "maps"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        atexit.register(self.stop_all)

    def key(self, stages: Sequence[FloatArray], options: ProjectionOptions) -> str:
        """Of the rows and of every option that counts."""
        arrays = {f"{number:04}": stage for number, stage in enumerate(stages)}
        facts = json.dumps([VERSION, options.used(), sha256_of_arrays(arrays)], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:32]

    def state(self, stages: Sequence[FloatArray], options: ProjectionOptions) -> MapState:
        """The map if it is there; else it is being computed after this, unless it failed."""
        key = self.key(stages, options)
        done = _read_map(self._file(key), len(stages))
        if done is not None:
            return MapState(done, 1.0)
        with self._lock:
            process = self._running.get(key)
            if process is None:
                self._running[key] = self._start(key, stages, options)
                return MapState()
            if process.poll() is None:
                return MapState(share=self._share(key))
            del self._running[key]
        done = _read_map(self._file(key), len(stages))  # it may have ended just now
        if done is not None:
            return MapState(done, 1.0)
        return MapState(problem=self._problem(key))

    def stop(self, key: str) -> None:
        """Ends the computing of a map that nobody waits for any more."""
        with self._lock:
            process = self._running.pop(key, None)
        if process is not None:
            process.terminate()
            process.wait()

    def stop_all(self) -> None:
        """Ends all that is being computed."""
        for key in list(self._running):
            self.stop(key)

    def _start(
        self, key: str, stages: Sequence[FloatArray], options: ProjectionOptions
    ) -> subprocess.Popen[bytes]:
        rows = {f"{number:04}": np.ascontiguousarray(s) for number, s in enumerate(stages)}
        with atomic_file(self._input(key)) as path:
            path.write_bytes(save(rows, {"options": options.model_dump_json()}))
        self._progress(key).unlink(missing_ok=True)
        return subprocess.Popen(  # noqa: S603 - this program, with a path of our own
            [sys.executable, "-m", "cmr_hub.projections.jobs", str(self.folder), key],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _share(self, key: str) -> float:
        try:
            return min(max(float(self._progress(key).read_text(encoding="utf-8")), 0.0), 1.0)
        except (OSError, ValueError):
            return 0.0

    def _problem(self, key: str) -> str:
        try:
            said = self._progress(key).read_text(encoding="utf-8")
        except OSError:
            said = ""
        is_number = said.replace(".", "").isdigit()
        return "the map's process ended too early" if not said or is_number else said

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _input(self, key: str) -> Path:
        return self.folder / f"{key}.input"

    def _progress(self, key: str) -> Path:
        return self.folder / f"{key}.progress"

    def compute(self, key: str) -> None:
        """What the process of a map does: from the input file to the map."""
        source, progress = self._input(key), self._progress(key)

        def tell(share: float) -> None:
            with atomic_file(progress) as path:
                path.write_text(f"{share:.3f}", encoding="utf-8")

        try:
            with safe_open(source, framework="numpy") as file:
                options = ProjectionOptions.model_validate_json((file.metadata() or {})["options"])
                stages = [file.get_tensor(name) for name in sorted(file.keys())]
            maps = project_stages(stages, options, tell)
            named = {f"{number:04}": stage for number, stage in enumerate(maps)}
            with atomic_file(self._file(key)) as path:
                path.write_bytes(save(named))
            progress.unlink(missing_ok=True)
        except CMRError as error:
            progress.write_text(str(error), encoding="utf-8")
        finally:
            source.unlink(missing_ok=True)


def _read_map(path: Path, stages: int) -> list[FloatArray] | None:
    """None where there is none, or it is damaged: then it is computed again."""
    try:
        with safe_open(path, framework="numpy") as file:
            maps: Mapping[str, FloatArray] = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return [maps[name] for name in sorted(maps)] if len(maps) == stages else None


if __name__ == "__main__":
    MapJobs(sys.argv[1]).compute(sys.argv[2])
