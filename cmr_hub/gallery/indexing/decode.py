"""Read and decode pictures in worker processes, while the main process encodes.

The workers import this module, so it does not import torch. Only the processor of a pretrained
encoder, which is sent with the first task, imports torch.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.reduction import ForkingPickler
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cmr_hub.datasets.images import MAX_BYTES, decode_with_facts
from cmr_hub.datasets.videos import read_frame
from cmr_hub.errors import CMRError, ImageError
from cmr_hub.gallery.indexing.entry import Entry, Place
from cmr_hub.gallery.indexing.ocr import ENOUGH, text_of
from cmr_hub.gallery.items import TEXT, TEXT_PROBLEM
from cmr_hub.outside import check_file, read_bytes

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from cmr_hub.encoders.images.base import PicturePreprocessing

logger = logging.getLogger(__name__)

_FEW = 64
"""Number of pictures that take less time to decode than a worker takes to start."""
_FEW_WITH_TEXT = 4
"""The same number if text is read, which takes half a second per picture."""
_BATCH_WITH_TEXT = 8
_AHEAD = 128
"""Number of pictures in progress per worker."""
_slots: npt.NDArray[Any]
"""(slot, picture, *shape): memory that is shared with the main process."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Decoded and preprocessed pictures.

    Attributes:
        sha256: SHA-256 of each file, followed by the time for a frame; "" if it cannot be read.
        problems: reason why a picture cannot be decoded; "" if it can be decoded.
        facts: `camera_facts` and `picture_hash` of each picture, and if requested, the text in it
            or the reason why the text cannot be read. Empty if the picture cannot be decoded.
        pixels: (n, *shape) output of the preprocessing for the pictures without a problem.
        slot: slot of shared memory that contains `pixels`; None for other memory.
    """

    sha256: list[str]
    problems: list[str]
    facts: list[dict[str, Any]]
    pixels: npt.NDArray[Any]
    slot: int | None = None


@dataclass(frozen=True, eq=False)
class _Work:
    """Pictures submitted to a worker. The result is `sha256`, `problems` and `facts`."""

    entries: Sequence[Entry]
    slot: int
    result: Future[tuple[list[str], list[str], list[dict[str, Any]]]]


class Decoders:
    """Workers that decode pictures while this process encodes. The context stops them.

    Args:
        preprocessing: preprocessing of the encoder.
        size: maximum number of pictures per batch.
        workers: number of worker processes.
        in_use: number of batches that the caller uses at the same time. More would be slow.
        ocr: read the text in the pictures, in smaller batches.
    """

    def __init__(
        self,
        preprocessing: PicturePreprocessing,
        size: int,
        workers: int,
        in_use: int,
        *,
        ocr: bool = False,
    ) -> None:
        size = min(size, _BATCH_WITH_TEXT) if ocr else size
        self.preprocessing, self.size, self.workers = preprocessing, size, workers
        self.ocr = ocr
        self._shape = (in_use + max(2, _AHEAD // size) * workers, size, *preprocessing.shape)
        self._free = list(range(self._shape[0]))
        self._slots: npt.NDArray[Any]
        self._pending: deque[_Work] = deque()
        self._pool: ProcessPoolExecutor | None = None
        self._has_no_pool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            # A second `shutdown` does not wait, but the workers must have finished before the
            # shared memory is freed.
            for work in self._pending:
                with suppress(CancelledError):
                    work.result.exception()

    def expect(self, count: int) -> None:
        """Start the workers if at least `count` pictures will follow.

        No worker is started for a few pictures, which are decoded faster in this process, or
        without shared memory.
        """
        few = _FEW_WITH_TEXT if self.ocr else _FEW
        if self._pool is not None or self._has_no_pool or count <= few:
            return
        if b"__main__" in bytes(ForkingPickler.dumps(self.preprocessing)):
            # Workers do not run the script, so they cannot import its definitions.
            self._has_no_pool = True
            return
        # Not forked, because a fork would lack the threads that torch has started.
        # With shared memory, because unpickling pixels in a thread would delay the encoder.
        dtype = np.dtype(self.preprocessing.dtype)
        try:
            memory = get_context("spawn").RawArray("B", math.prod(self._shape) * dtype.itemsize)
            initargs = (memory, self._shape, dtype)
            pool = ProcessPoolExecutor(self.workers, _Workers(), _prepare_worker, initargs)
            for _ in range(self.workers):
                pool.submit(os.getpid)  # a task starts a worker
        except OSError as error:  # in a container, if /dev/shm is missing, full or read-only
            self._has_no_pool = True
            logger.warning(
                "pictures are decoded in one process, which is slower, because shared memory is "
                "not available (%s); is there a writable /dev/shm?",
                error,
            )
            return
        self._slots, self._pool = np.frombuffer(memory, dtype).reshape(self._shape), pool

    def decoded(self, entries: Sequence[Entry]) -> Iterator[tuple[Sequence[Entry], Decoded]]:
        """Yield all entries with their pictures, in any order, with a few batches in memory.

        If no worker has finished, this process decodes the next batch. Call this method once, and
        return every batch with `release`.

        Raises:
            CMRError: a worker died, perhaps because of a lack of memory.
        """
        source = iter(entries)
        self.expect(len(entries))
        pending = self._pending
        latest = entries
        try:
            while True:
                pending.extend(self._submitted(source))
                if pending and pending[0].result.done():
                    work = pending.popleft()
                    latest = work.entries
                    sha256, problems, facts = work.result.result()
                    pixels = self._slots[work.slot, : problems.count("")]
                    yield work.entries, Decoded(sha256, problems, facts, pixels, work.slot)
                elif batch := list(islice(source, self.size)):
                    places = [entry.place for entry in batch]
                    yield batch, decode(places, self.preprocessing, ocr=self.ocr)
                elif pending:
                    wait([pending[0].result])
                else:
                    return
        except BrokenProcessPool as error:
            names = ", ".join(str(entry.path) for entry in latest[:3])
            raise CMRError(
                f"a process that decodes pictures died, near {names}: is there enough memory? "
                "Indexed pictures are kept"
            ) from error

    def _submitted(self, source: Iterator[Entry]) -> Iterator[_Work]:
        """Submit the next batches to the workers while there are free slots."""
        while self._pool is not None and self._free:
            entries = list(islice(source, self.size))
            if not entries:
                self._pool.shutdown(wait=False)  # workers can exit while the last batch is encoded
                return
            slot = self._free.pop()
            places = [entry.place for entry in entries]
            result = self._pool.submit(_decode_into, slot, places, self.preprocessing, self.ocr)
            yield _Work(entries, slot, result)

    def release(self, pictures: Decoded) -> None:
        """Free the memory of a batch whose pixels are no longer needed. This is thread-safe."""
        if pictures.slot is not None:
            self._free.append(pictures.slot)


class _Worker(SpawnProcess):
    """A spawned process that does not run the main script again.

    Workers only import this package. A script without `if __name__ == "__main__":` would run again
    in each worker, and a script from standard input or a notebook cannot be run again.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802
        with _without_script():
            return SpawnProcess._Popen(process_obj)


class _Workers(SpawnContext):
    Process = _Worker


_hiding = Lock()


@contextmanager
def _without_script() -> Iterator[None]:
    with _hiding:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


def _prepare_worker(memory: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    global _slots  # noqa: PLW0603 - the only way to pass it to a worker of a pool
    _slots = np.frombuffer(memory, dtype).reshape(shape)
    if "torch" in sys.modules:  # imported by the processor of a pretrained encoder
        sys.modules["torch"].set_num_threads(1)
    # The main process handles Ctrl-C: it saves finished work and stops the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit with the parent process. If the parent is killed, the worker would wait forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _decode_into(
    slot: int, places: Sequence[Place], preprocessing: PicturePreprocessing, ocr: bool
) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Decode pictures into a slot of shared memory; return `sha256`, `problems` and `facts`."""
    pictures = decode(places, preprocessing, _slots[slot], ocr=ocr)
    return pictures.sha256, pictures.problems, pictures.facts


def decode(
    places: Sequence[Place],
    preprocessing: PicturePreprocessing,
    out: npt.NDArray[Any] | None = None,
    *,
    ocr: bool = False,
) -> Decoded:
    """Read, decode and preprocess pictures.

    Args:
        places: locations of the pictures.
        preprocessing: preprocessing of the encoder.
        out: optional (n, *shape) array for the pixels, with n at least `len(places)`.
        ocr: read the text in the pictures, which are then decoded at a larger size.
    """
    import imagehash

    enough = preprocessing.enough
    if ocr and enough is not None:
        enough = max(enough, ENOUGH)
    sha256, problems, all_facts = [], [], []
    shape = (len(places), *preprocessing.shape)
    pixels = np.empty(shape, dtype=preprocessing.dtype) if out is None else out
    count = 0
    for place in places:
        digest, problem = "", ""
        facts: dict[str, Any] = {}
        try:
            if place.time is not None:
                digest = place.sha256
                picture, facts = read_frame(place.file, place.time, enough)
            else:
                data = read_place(place)
                digest = hashlib.sha256(data).hexdigest()
                picture, facts = decode_with_facts(data, enough=enough)
            facts["picture_hash"] = str(imagehash.phash(picture))  # 64 bits in hexadecimal
            pixels[count] = preprocessing.pixels(picture)
            count += 1
            if ocr:
                facts |= _text_facts(picture)
        except (OSError, ImageError) as error:
            problem = str(error) or type(error).__name__
        sha256.append(digest)
        problems.append(problem)
        all_facts.append(facts)
    return Decoded(sha256, problems, all_facts, pixels[:count])


def _text_facts(picture: Image.Image) -> dict[str, str]:
    try:
        return {TEXT: text_of(picture)}
    except Exception as error:  # from RapidOCR, OpenCV or ONNX Runtime
        return {TEXT_PROBLEM: " ".join(str(error).split()) or type(error).__name__}


def read_place(place: Place) -> bytes:
    """Read the bytes of a picture. Raises OSError if they cannot be read."""
    if place.size is None:
        return read_bytes(place.file, MAX_BYTES)
    if place.size > MAX_BYTES:
        raise OSError(f"it has {place.size:,} bytes; the limit is {MAX_BYTES:,}")
    check_file(place.file)
    with place.file.open("rb") as file:
        file.seek(place.offset)
        data = file.read(place.size)
    if len(data) < place.size:
        raise OSError("the shard is truncated within the picture")
    return data
