"""Encoders that are built on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from cmr_hub.downloads import downloads, downloads_allowed

if TYPE_CHECKING:
    from cmr_hub.encoders.devices import Placement

E = TypeVar("E")


class Lazy(Generic[E]):
    """An encoder that is built once, on first use. Thread-safe.

    The permission to download files is the one at the creation of this object.

    Args:
        build: Function that returns the encoder.
        name, source, dim, fingerprint: Attributes of the encoder, known before it is built.
        without_network: Function that returns the encoder without its network, for exports; None
            if the encoder cannot be built without it.
    """

    def __init__(
        self,
        build: Callable[[], E],
        name: str,
        source: str,
        dim: int,
        fingerprint: str,
        without_network: Callable[[], E | None] = lambda: None,
    ) -> None:
        self.name, self.source = name, source
        self.dim, self.fingerprint = dim, fingerprint
        self.without_network = without_network
        self._build: Callable[[], E] | None = build
        self._built: E | None = None
        self._placement: Placement | None = None
        self._may_fetch = downloads_allowed()
        self._lock = threading.RLock()

    def get(self) -> E:
        """Return the encoder, built now if necessary."""
        if self._built is None:
            with self._lock:
                if self._built is None and self._build is not None:
                    with downloads(allowed=self._may_fetch):
                        self._built = self._placed(self._build())
                    self._build = None  # frees what it refers to
        return cast("E", self._built)

    def once(self) -> E:
        """Return the encoder for temporary use; if it is built now, it is not stored."""
        with self._lock:
            if self._build is None or self._built is not None:
                return self.get()
            with downloads(allowed=self._may_fetch):
                return cast("E", self._placed(self._build()))

    def to(self, placement: Placement) -> None:
        """Move the encoder now, or when it is built."""
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
