"""Interface of the backends that run exported networks."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmr_hub.cores import threads
from cmr_hub.errors import CMRError
from cmr_hub.types import Arrays

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray

Compiled = Callable[[Arrays], "FloatArray"]
"""Maps named arrays of a batch to (B, dim) rows; thread-safe."""

# OpenVINO deadlocks if two threads of a process make its very first call at the same time.
_first_call = threading.Lock()


class Session(ABC):
    """An exported network, ready to run. Thread-safe.

    A call uses the threads available to its caller: one within `thread_map`, otherwise all.
    Compiled networks are not pickled.

    Args:
        file: An ONNX file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._begin()

    def __call__(self, batch: Arrays) -> FloatArray:
        """Map named arrays of B items to (B, dim) float32 rows."""
        arrays = {name: np.ascontiguousarray(rows) for name, rows in batch.items()}
        # At most two compiled networks, for single and for parallel calls, because each has a copy
        # of the weights.
        count = 1 if threads() == 1 else self.most
        if count not in self._ready:
            with _first_call:
                if count not in self._ready:
                    if not self.file.is_file():
                        raise CMRError(
                            f"the export {self.file} was removed: load the model again to export "
                            "it again"
                        )
                    compiled = self.compiled(count)
                    rows = compiled(arrays)
                    self._ready[count] = compiled
                    return rows
        return self._ready[count](arrays)

    @staticmethod
    @abstractmethod
    def require() -> None:
        """Raise CMRError if the runtime is not installed."""

    @abstractmethod
    def compiled(self, threads: int) -> Compiled:
        """Compile the network for calls with up to `threads` threads each."""

    def _begin(self) -> None:
        self.most = threads()
        self._ready: dict[int, Compiled] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.file = state["file"]
        self._begin()
