"""A lock in an object that is pickled and copied."""

from __future__ import annotations

from threading import Lock
from types import TracebackType


class OwnLock:
    """A lock that guards the object it is in: a copy of that object gets another, open one."""

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
