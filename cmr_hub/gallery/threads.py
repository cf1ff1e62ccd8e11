"""How many threads FAISS works with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss


@contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """So many within, for who calls this, and as many as before afterwards.

    FAISS and torch may share one OpenMP: what is set for one and stays would hold for the other.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
