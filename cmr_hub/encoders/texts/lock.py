"""A lock for objects that are pickled and copied."""

from __future__ import annotations

from threading import Lock
from types import TracebackType


class CopyableLock:
    """A lock of which each copy, also by pickling, is a new, unlocked lock."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[CopyableLock], tuple[()]]:
        return CopyableLock, ()
