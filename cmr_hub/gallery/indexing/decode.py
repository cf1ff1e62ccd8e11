"""Pictures read and decoded in other processes, while this one encodes.

This module, which those processes import, imports no torch.
"""

from __future__ import annotations

import hashlib
import math
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
from typing import TYPE_CHECKING, Any

import numpy as np

from cmr_hub.datasets.files import read_bytes
from cmr_hub.datasets.images import MAX_BYTES, decode_image
from cmr_hub.errors import CMRError, ImageError
from cmr_hub.gallery.indexing.entry import Entry, Place

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.encoders.images.preprocessing import Preprocessing

_FEW = 64
_AHEAD = 128
"""Pictures in work for each process."""
_slots: npt.NDArray[np.uint8]
"""(slot, picture, crop, crop, 3): memory that a process which decodes shares with the main one."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pictures as the encoder wants them.

    Attributes:
        sha256: of the bytes of each; "" where they cannot be read.
        problems: why there is no picture; "" where there is one.
        pixels: (n, crop, crop, 3) of those without a problem, in their order.
    """

    sha256: list[str]
    problems: list[str]
    pixels: npt.NDArray[np.uint8]


def decoded(
    entries: Sequence[Entry], preprocessing: Preprocessing, size: int, workers: int
) -> Iterator[tuple[Sequence[Entry], Decoded]]:
    """All entries with their pictures, in any order; only a few are held in memory.

    A handful is decoded right here: it would take longer to start a process. So is what comes
    next whenever this process would have to wait for another one.

    Args:
        entries: where the pictures are.
        preprocessing: what the encoder is shown of them.
        size: pictures at a time.
        workers: processes that decode.

    Raises:
        CMRError: a process died, for want of memory perhaps.
    """
    source = iter(entries)
    if len(entries) <= _FEW:
        while own := list(islice(source, size)):
            yield own, decode([entry.place for entry in own], preprocessing)
        return
    # Not forked: torch has threads here already, and they would not be there.
    context = get_context("spawn")
    # Pixels sent as results would hold up the encoder: a thread here would unpack them.
    side = preprocessing.crop
    shape = (max(2, _AHEAD // size) * workers, size, side, side, 3)
    memory = context.RawArray("B", math.prod(shape))
    slots = np.frombuffer(memory, np.uint8).reshape(shape)
    free = list(range(len(slots)))
    waiting: deque[tuple[list[Entry], int, Future[tuple[list[str], list[str]]]]] = deque()
    with ProcessPoolExecutor(workers, context, _prepare_worker, (memory, shape)) as pool:
        try:
            while True:
                while free and (chunk := list(islice(source, size))):
                    places = [entry.place for entry in chunk]
                    slot = free.pop()
                    work = pool.submit(_decode_into, slot, places, preprocessing)
                    waiting.append((chunk, slot, work))
                if not waiting:
                    return
                if not waiting[0][2].done() and (own := list(islice(source, size))):
                    yield own, decode([entry.place for entry in own], preprocessing)
                    continue
                chunk, slot, work = waiting.popleft()
                sha256, problems = work.result()
                pixels = slots[slot, : problems.count("")].copy()
                free.append(slot)
                yield chunk, Decoded(sha256, problems, pixels)
        except BrokenProcessPool as error:
            names = ", ".join(str(entry.path) for entry in chunk[:3])
            raise CMRError(
                f"a process that decodes pictures died, near {names}: is there enough memory? In a "
                "script this must be called under `if __name__ == '__main__':`. What was indexed "
                "before is kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker(memory: Any, shape: tuple[int, ...]) -> None:
    global _slots  # noqa: PLW0603 - it reaches a process of a pool in no other way
    _slots = np.frombuffer(memory, np.uint8).reshape(shape)
    # Ctrl-C is for the main process, which keeps what is done and then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _decode_into(
    slot: int, places: Sequence[Place], preprocessing: Preprocessing
) -> tuple[list[str], list[str]]:
    """What `decode` says of pictures, whose pixels are left in shared memory."""
    done = decode(places, preprocessing, _slots[slot])
    return done.sha256, done.problems


def decode(
    places: Sequence[Place],
    preprocessing: Preprocessing,
    out: npt.NDArray[np.uint8] | None = None,
) -> Decoded:
    """Reads and decodes pictures.

    Args:
        places: where they are.
        preprocessing: what the encoder is shown of them.
        out: (at least as many, crop, crop, 3), where the pixels shall lie.
    """
    sha256, problems = [], []
    side = preprocessing.crop
    pixels = np.empty((len(places), side, side, 3), dtype=np.uint8) if out is None else out
    count = 0
    for place in places:
        digest, problem = "", ""
        try:
            data = _read(place)
            digest = hashlib.sha256(data).hexdigest()
            picture = decode_image(data, enough=preprocessing.enough)
            pixels[count] = preprocessing.pixels(picture)
            count += 1
        except (OSError, ImageError) as error:
            problem = str(error) or type(error).__name__
        sha256.append(digest)
        problems.append(problem)
    return Decoded(sha256, problems, pixels[:count])


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
