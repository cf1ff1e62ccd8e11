"""Every error that a user can mend is a CMRError; its message says how."""

from __future__ import annotations

import reprlib
from typing import Any

_LONGEST = 80


class _Shown(reprlib.Repr):
    """`repr`, of which no part is long; arrays and files are told by their size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _LONGEST

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, bytes | bytearray | memoryview) and len(x) > _LONGEST // 4:
            return f"{type(x).__name__} of length {len(x):,}"
        if isinstance(getattr(x, "shape", None), tuple):
            return f"{type(x).__name__} of shape {tuple(x.shape)}"
        return super().repr1(x, level)


_REPR = _Shown()


def shown(value: object) -> str:
    """A value as a message shows it: its `repr`, cut to about a hundred characters.

    Whatever a user has given goes through this before it goes into a message.
    """
    text = _REPR.repr(value)
    return text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST]}…"


class CMRError(Exception):
    """Base of all errors that the package raises on purpose."""


class DataNotFoundError(CMRError):
    """A dataset, or a part of it, is not where it was looked for."""


class DataFormatError(CMRError):
    """A dataset file is there but cannot be understood."""


class ImageError(CMRError):
    """A picture is broken, too large, or of a kind that is not read."""


class WeightsError(CMRError):
    """A weights file is missing, truncated, or not of this network."""


class UnknownNameError(CMRError):
    """No dataset, protocol, encoder, loss or preset has this name."""

    def __init__(
        self, kind: str, name: object, known: list[str], package: str | None = None
    ) -> None:
        if package is not None:
            super().__init__(f"the {kind} {shown(name)} is not installed: pip install {package}")
        else:
            super().__init__(f"unknown {kind} {shown(name)}; choose one of: {', '.join(known)}")


class UnknownWordsError(CMRError):
    """A text has no word that the text encoder knows."""


class QueryError(CMRError):
    """A search was asked in a way that cannot be answered."""


class ModelFormatError(CMRError):
    """A model, gallery or run directory is incomplete, damaged or of an unknown version."""


class NotInstalledError(ModelFormatError):
    """A saved model names an encoder that no package here declares and nothing has registered."""

    def __init__(self, kind: str, name: str, group: str) -> None:
        super().__init__(
            f"unknown {kind} {shown(name)}, which this model was saved with: install the package "
            f"that declares it as an entry point of {group}, or register it before loading: "
            f"cmr_hub.encoders.register({shown(name)})(ITS_CLASS)"
        )


class InUseError(CMRError):
    """Another process is writing to a folder."""


class GalleryInUseError(InUseError):
    """Another process is writing to a gallery."""


class StorageError(CMRError):
    """A file cannot be written: the disk is full, or may only be read."""


class TrainingError(CMRError):
    """Training cannot go on: too few items, a loss that is not finite, a mismatched run."""


class HubError(CMRError):
    """A repository on the Hub cannot be read or written."""
