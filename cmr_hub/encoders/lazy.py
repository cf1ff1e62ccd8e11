"""Encoders that are built when they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from cmr_hub.downloads import downloads, downloads_allowed

if TYPE_CHECKING:
    from cmr_hub.encoders.devices import Placement

E = TypeVar("E")


class Lazy(Generic[E]):
    """An encoder that is built when it is first needed, once, whichever thread needs it first.

    What building may fetch is decided when this is made.

    Args:
        build: makes it.
        name, source, dim, fingerprint: its own, known before it is built.
    """

    def __init__(
        self, build: Callable[[], E], name: str, source: str, dim: int, fingerprint: str
    ) -> None:
        self.name, self.source = name, source
        self.dim, self.fingerprint = dim, fingerprint
        self._build: Callable[[], E] | None = build
        self._built: E | None = None
        self._placement: Placement | None = None
        self._may_fetch = downloads_allowed()
        self._lock = threading.RLock()

    def get(self) -> E:
        """The encoder. Raises what building it raises."""
        if self._built is None:
            with self._lock:
                if self._built is None and self._build is not None:
                    with downloads(allowed=self._may_fetch):
                        self._built = self._placed(self._build())
                    self._build = None  # it may hold what the encoder was made of
        return cast("E", self._built)

    def once(self) -> E:
        """The encoder for who needs it but for a moment: what is built for that is not kept."""
        with self._lock:
            if self._build is None or self._built is not None:
                return self.get()
            with downloads(allowed=self._may_fetch):
                return cast("E", self._placed(self._build()))

    def to(self, placement: Placement) -> None:
        """Moves the encoder now, or when it is built."""
        with self._lock:
            self._placement = placement
            if self._built is not None:
                self._placed(self._built)

    def _placed(self, encoder: Any) -> Any:
        return encoder if self._placement is None else encoder.to(self._placement)

    def __getstate__(self) -> dict[str, Any]:
        facts = (self.name, self.source, self.dim, self.fingerprint)
        return {"encoder": self.get(), "facts": facts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        encoder = state["encoder"]
        self.__init__(lambda: encoder, *state["facts"])  # type: ignore[misc]
