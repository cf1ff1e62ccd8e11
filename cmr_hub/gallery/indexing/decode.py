"""Pictures read and decoded in other processes, while this one encodes.

This module, which those processes import, imports no torch.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING

from cmr_hub.datasets.files import read_bytes
from cmr_hub.datasets.images import MAX_BYTES, decode_image
from cmr_hub.errors import CMRError, ImageError
from cmr_hub.gallery.indexing.entry import Entry, Place

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.encoders.images.preprocessing import Preprocessing

_FEW = 64
_CHUNK = 8
_AHEAD = 16
"""Chunks in work for each process."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture as the encoder wants it, or why there is none."""

    sha256: str
    """Of its bytes."""
    pixels: npt.NDArray[np.uint8] | None
    problem: str = ""


def decoded(
    entries: Sequence[Entry], preprocessing: Preprocessing, workers: int
) -> Iterator[tuple[Entry, Decoded]]:
    """Every entry with its picture, in any order; only a few are held in memory.

    A handful is decoded right here: it would take longer to start a process. So is what comes
    next whenever this process would have to wait for another one.

    Raises:
        CMRError: a process died, for want of memory perhaps.
    """
    if len(entries) <= _FEW:
        yield from ((entry, decode_one(entry.place, preprocessing)) for entry in entries)
        return
    waiting: deque[tuple[list[Entry], Future[list[Decoded]]]] = deque()
    source = iter(entries)
    # Not forked: torch has threads here already, and they would not be there.
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare_worker) as pool:
        try:
            while True:
                while len(waiting) < _AHEAD * workers and (chunk := list(islice(source, _CHUNK))):
                    places = [entry.place for entry in chunk]
                    waiting.append((chunk, pool.submit(_decode, places, preprocessing)))
                if not waiting:
                    return
                if not waiting[0][1].done() and (own := list(islice(source, _CHUNK))):
                    places = [entry.place for entry in own]
                    yield from zip(own, _decode(places, preprocessing), strict=True)
                    continue
                chunk, future = waiting.popleft()
                yield from zip(chunk, future.result(), strict=True)
        except BrokenProcessPool as error:
            names = ", ".join(str(entry.path) for entry in chunk[:3])
            raise CMRError(
                f"a process that decodes pictures died, near {names}: is there enough memory? In a "
                "script this must be called under `if __name__ == '__main__':`. What was indexed "
                "before is kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker() -> None:
    # Ctrl-C is for the main process, which keeps what is done and then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _decode(places: Sequence[Place], preprocessing: Preprocessing) -> list[Decoded]:
    return [decode_one(place, preprocessing) for place in places]


def decode_one(place: Place, preprocessing: Preprocessing) -> Decoded:
    """Reads and decodes one picture."""
    try:
        data = _read(place)
    except OSError as error:
        return Decoded("", None, str(error))
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        picture = decode_image(data, enough=preprocessing.enough)
        return Decoded(sha256, preprocessing.pixels(picture))
    except ImageError as error:
        return Decoded(sha256, None, str(error))


def _read(place: Place) -> bytes:
    if place.size is None:
        return read_bytes(place.file, MAX_BYTES)
    if place.size > MAX_BYTES:
        raise OSError(f"it has {place.size:,} bytes; the limit is {MAX_BYTES:,}")
    with place.file.open("rb") as file:
        file.seek(place.offset)
        data = file.read(place.size)
    if len(data) < place.size:
        raise OSError("the shard ends before the picture does")
    return data
