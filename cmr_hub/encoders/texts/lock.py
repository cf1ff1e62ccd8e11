"""A lock for objects that are pickled and copied."""

from __future__ import annotations

from threading import Lock
from types import TracebackType


class OwnLock:
    """A lock as an attribute of an object; each copy of the object gets a new, unlocked one."""

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

    def __reduce__(self) -> tuple[type[OwnLock], tuple[()]]:
        return OwnLock, ()
