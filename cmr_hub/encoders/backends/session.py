"""What a backend must do: run an exported network."""

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
"""Named arrays of a batch → (B, dim) rows; may be called by several threads at a time."""

# OpenVINO deadlocks where two threads of a process make its very first call at a time.
_first_call = threading.Lock()


class Session(ABC):
    """An exported network, ready to run. Several threads may call it at a time.

    It takes as many threads as there are for the one that calls it: one in each of those of
    `side_by_side`, else all. What it has compiled is not pickled.

    Args:
        file: an ONNX file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._begin()

    def __call__(self, batch: Arrays) -> FloatArray:
        """Named arrays of B items → (B, dim) float32 rows."""
        arrays = {name: np.ascontiguousarray(one) for name, one in batch.items()}
        # Two at most: each has weights of its own. One is for a single batch, one for many.
        count = 1 if threads() == 1 else self.most
        if count not in self._ready:
            with _first_call:
                if count not in self._ready:
                    compiled = self._compile(count)
                    rows = compiled(arrays)
                    self._ready[count] = compiled
                    return rows
        return self._ready[count](arrays)

    @staticmethod
    @abstractmethod
    def require() -> None:
        """Raises CMRError where the runtime is not installed."""

    @abstractmethod
    def compiled(self, threads: int) -> Compiled:
        """The network for calls that may take `threads` threads each."""

    def _begin(self) -> None:
        self.most = threads()
        self._ready: dict[int, Compiled] = {}

    def _compile(self, count: int) -> Compiled:
        if not self.file.is_file():
            raise CMRError(
                f"the export {self.file} is gone; load the model again and it is made anew"
            )
        return self.compiled(count)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.file = state["file"]
        self._begin()
