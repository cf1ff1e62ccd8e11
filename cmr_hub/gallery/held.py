"""Vectors of files, copied into memory while there is plenty of it.

A mapped file lies in pages of 4 KiB. The few rows that a search fetches from anywhere in it are in
no cache, and neither are the tables of their pages: on some machines that takes as long as all the
rest of the search. NumPy puts what it copies into pages of 2 MiB.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from itertools import count
from threading import Thread
from typing import TYPE_CHECKING, Final

import numpy as np

from cmr_hub.gallery.huge_pages import THREAD
from cmr_hub.memory import free_memory

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray

AFTER: Final = 16
"""Searches. Who asks that often will ask again; a gallery may also change after each."""
PLENTY: Final = 8
"""So many times the memory that the copies take must be free."""


class HeldVectors:
    """Matrices that are where they were, and after some searches perhaps in memory.

    Attributes:
        matrices: (n, d) each, of the same numbers at all times.
    """

    def __init__(self, matrices: Iterable[FloatArray]) -> None:
        self.matrices = list(matrices)
        self._searches = count(1)  # counts right in many threads

    def searched(self) -> None:
        """Tells of a search; after `AFTER` of them, copies are made beside what goes on."""
        if next(self._searches) != AFTER:
            return
        needed = sum(matrix.nbytes for matrix in self.matrices if _is_mapped(matrix))
        if 0 < needed * PLENTY <= free_memory():
            Thread(target=self._copy, name=THREAD, daemon=True).start()

    def _copy(self) -> None:
        for part, matrix in enumerate(self.matrices):
            if _is_mapped(matrix):
                self.matrices[part] = np.array(matrix)


def _is_mapped(matrix: FloatArray) -> bool:
    return isinstance(matrix.base, np.memmap | mmap.mmap)
