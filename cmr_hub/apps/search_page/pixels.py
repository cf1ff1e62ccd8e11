"""Limit how many pixels are decoded at once for all visitors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Final

from cmr_hub.errors import CMRError

SMALL: Final = 4_000_000
OF_SMALL: Final = 24_000_000
OF_LARGE: Final = 90_000_000
"""One of the largest accepted pictures. Decoding needs about 8 bytes per pixel."""
_WAITING: Final = 8
_SECONDS: Final = 20.0
BUSY: Final = "too many large pictures are being read; try again in a moment"


class BusyError(CMRError):
    """Too many pictures are being decoded."""


class _Lane:
    def __init__(self, max_pixels: int, max_waiting: int) -> None:
        self._max_pixels, self._used = max_pixels, 0
        self._max_waiting, self._waiting = max_waiting, 0
        self._changed = Condition()

    @contextmanager
    def reserved(self, count: int) -> Iterator[None]:
        with self._changed:
            if self._used and self._used + count > self._max_pixels:
                if self._waiting >= self._max_waiting:
                    raise BusyError(BUSY)
                self._waiting += 1
                try:
                    has_room = self._changed.wait_for(
                        lambda: not self._used or self._used + count <= self._max_pixels, _SECONDS
                    )
                finally:
                    self._waiting -= 1
                if not has_room:
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
    """Wait until a picture may be decoded, and reserve its pixels within the context.

    Small pictures have their own limit and do not wait for large ones.

    Raises:
        BusyError: the wait took too long, or too many pictures are waiting already.
    """
    with (_small if pixels <= SMALL else _large).reserved(pixels):
        yield
