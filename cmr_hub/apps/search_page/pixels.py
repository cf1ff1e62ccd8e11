"""How many pixels are decoded at once, over all visitors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Final

from cmr_hub.errors import CMRError

SMALL: Final = 4_000_000
OF_SMALL: Final = 24_000_000
OF_LARGE: Final = 90_000_000
"""One of the largest pictures that are read; it takes some 8 bytes a pixel while it is decoded."""
_WAITING: Final = 8
_SECONDS: Final = 20.0
BUSY: Final = "too many large pictures are read at once; try again in a moment"


class BusyError(CMRError):
    """Others must be done first."""


class _Lane:
    def __init__(self, most: int, waiting: int) -> None:
        self._most, self._used = most, 0
        self._places, self._waiting = waiting, 0
        self._changed = Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        with self._changed:
            if self._used and self._used + count > self._most:
                if self._waiting >= self._places:
                    raise BusyError(BUSY)
                self._waiting += 1
                try:
                    there = self._changed.wait_for(
                        lambda: not self._used or self._used + count <= self._most, _SECONDS
                    )
                finally:
                    self._waiting -= 1
                if not there:
                    raise BusyError(BUSY)
            self._used += count
        try:
            yield
        finally:
            with self._changed:
                self._used -= count
                self._changed.notify_all()


_small = _Lane(OF_SMALL, 10_000)
_large = _Lane(OF_LARGE, _WAITING)


@contextmanager
def decoding(pixels: int) -> Iterator[None]:
    """Waits until there is room for a picture, and holds it.

    Small pictures have room of their own, and do not wait for large ones.

    Raises:
        BusyError: there was none in time, or too many wait already.
    """
    with (_small if pixels <= SMALL else _large).taken(pixels):
        yield
