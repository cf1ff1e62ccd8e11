"""Pictures read and decoded in other processes, while this one encodes.

This module, which those processes import, imports no torch. (The processor of a pretrained encoder
does, and comes with the first work.)
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cmr_hub.datasets.images import MAX_BYTES, decode_image
from cmr_hub.errors import CMRError, ImageError
from cmr_hub.gallery.indexing.entry import Entry, Place
from cmr_hub.outside import check_file, read_bytes

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.encoders.images.base import Shown

logger = logging.getLogger(__name__)

_FEW = 64
"""As many are decoded sooner here than a process starts."""
_AHEAD = 128
"""Pictures in work for each process."""
_slots: npt.NDArray[Any]
"""(slot, picture, *shape): memory that a process which decodes shares with the main one."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pictures as the encoder wants them.

    Attributes:
        sha256: of the bytes of each; "" where they cannot be read.
        problems: why there is no picture; "" where there is one.
        pixels: (n, *shape), as the encoder's preprocessing gives them, of those without a
            problem, in their order.
        slot: of the shared memory in which they lie, if they do.
    """

    sha256: list[str]
    problems: list[str]
    pixels: npt.NDArray[Any]
    slot: int | None = None


@dataclass(frozen=True, eq=False)
class _Work:
    """Pictures handed to another process, which will say SHA-256 and problems of each."""

    entries: Sequence[Entry]
    slot: int
    said: Future[tuple[list[str], list[str]]]


class Decoders:
    """Processes that decode pictures while this one encodes; they end with a `with`, or soon after.

    Args:
        preprocessing: what the encoder is shown of the pictures.
        size: pictures at a time, at most.
        workers: processes.
        held: so many times `size` pictures the caller holds at once; more are no harm, but slow.
    """

    def __init__(self, preprocessing: Shown, size: int, workers: int, held: int) -> None:
        self.preprocessing, self.size, self.workers = preprocessing, size, workers
        self._shape = (held + max(2, _AHEAD // size) * workers, size, *preprocessing.shape)
        self._free = list(range(self._shape[0]))
        self._slots: npt.NDArray[Any]
        self._waiting: deque[_Work] = deque()
        self._pool: ProcessPoolExecutor | None = None
        self._is_alone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            # If all had been handed over, that waited for nothing. What is being decoded must not
            # land in memory that has since gone to somebody else.
            for work in self._waiting:
                with suppress(CancelledError):
                    work.said.exception()

    def expect(self, count: int) -> None:
        """Says that so many pictures will come, or more: now is the time to start processes.

        For a handful none is started: they are decoded sooner here. Nor is one where this machine
        gives them no memory to share.
        """
        if self._pool is not None or self._is_alone or count <= _FEW:
            return
        # Not forked: torch has threads here already, and they would not be there.
        context = get_context("spawn")
        # Pixels sent as results would hold up the encoder: a thread here would unpack them.
        dtype = np.dtype(self.preprocessing.dtype)
        try:
            memory = context.RawArray("B", math.prod(self._shape) * dtype.itemsize)
            initargs = (memory, self._shape, dtype)
            pool = ProcessPoolExecutor(self.workers, context, _prepare_worker, initargs)
            for _ in range(self.workers):
                pool.submit(os.getpid)  # work starts them
        except OSError as error:  # a container whose /dev/shm is missing, full or read-only
            self._is_alone = True
            logger.warning(
                "pictures are decoded by this process alone, which is slower: others get no "
                "memory to share (%s); is there a /dev/shm that may be written to?",
                error,
            )
            return
        self._slots, self._pool = np.frombuffer(memory, dtype).reshape(self._shape), pool

    def decoded(self, entries: Sequence[Entry]) -> Iterator[tuple[Sequence[Entry], Decoded]]:
        """All entries with their pictures, in any order; only a few are held in memory.

        What comes next is decoded right here whenever this process would have to wait for another.
        To be called once; what it gives is to be given back with `release`.

        Raises:
            CMRError: a process died, for want of memory perhaps.
        """
        source = iter(entries)
        self.expect(len(entries))
        waiting = self._waiting
        near = entries
        try:
            while True:
                waiting.extend(self._handed_over(source))
                if waiting and waiting[0].said.done():
                    work = waiting.popleft()
                    near = work.entries
                    sha256, problems = work.said.result()
                    pixels = self._slots[work.slot, : problems.count("")]
                    yield work.entries, Decoded(sha256, problems, pixels, work.slot)
                elif own := list(islice(source, self.size)):
                    yield own, decode([entry.place for entry in own], self.preprocessing)
                elif waiting:
                    wait([waiting[0].said])
                else:
                    return
        except BrokenProcessPool as error:
            names = ", ".join(str(entry.path) for entry in near[:3])
            raise CMRError(
                f"a process that decodes pictures died, near {names}: is there enough memory? In a "
                "script this must be called under `if __name__ == '__main__':`. What was indexed "
                "before is kept"
            ) from error

    def _handed_over(self, source: Iterator[Entry]) -> Iterator[_Work]:
        """What comes next, handed to the processes while there is room."""
        while self._pool is not None and self._free:
            entries = list(islice(source, self.size))
            if not entries:
                self._pool.shutdown(wait=False)  # they may end while the last is encoded
                return
            slot = self._free.pop()
            places = [entry.place for entry in entries]
            said = self._pool.submit(_decode_into, slot, places, self.preprocessing)
            yield _Work(entries, slot, said)

    def release(self, pictures: Decoded) -> None:
        """Says that the pixels are no longer needed; any thread may."""
        if pictures.slot is not None:
            self._free.append(pictures.slot)


def _prepare_worker(memory: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    global _slots  # noqa: PLW0603 - it reaches a process of a pool in no other way
    _slots = np.frombuffer(memory, dtype).reshape(shape)
    if "torch" in sys.modules:  # a library's own processor has brought it
        sys.modules["torch"].set_num_threads(1)
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
    slot: int, places: Sequence[Place], preprocessing: Shown
) -> tuple[list[str], list[str]]:
    """What `decode` says of pictures, whose pixels are left in shared memory."""
    done = decode(places, preprocessing, _slots[slot])
    return done.sha256, done.problems


def decode(
    places: Sequence[Place],
    preprocessing: Shown,
    out: npt.NDArray[Any] | None = None,
) -> Decoded:
    """Reads and decodes pictures.

    Args:
        places: where they are.
        preprocessing: what the encoder is shown of them.
        out: (at least as many, *shape), where the pixels shall lie.
    """
    sha256, problems = [], []
    shape = (len(places), *preprocessing.shape)
    pixels = np.empty(shape, dtype=preprocessing.dtype) if out is None else out
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
    check_file(place.file)
    with place.file.open("rb") as file:
        file.seek(place.offset)
        data = file.read(place.size)
    if len(data) < place.size:
        raise OSError("the shard ends before the picture does")
    return data
