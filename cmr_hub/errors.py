"""Errors that a user can fix; their messages say how."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_LONGEST = 80
_LONGEST_MESSAGE = 4_000


class _Shown(reprlib.Repr):
    """A `repr` that shortens long parts and describes arrays and bytes by their size."""

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
    """Return the `repr` of a value, shortened to about a hundred characters.

    Use it for every value from a user in an error message.
    """
    text = _REPR.repr(value)
    return text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST]}…"


def similar(name: object, known: Iterable[str], count: int = 1) -> list[str]:
    """Return the known names that are most similar to an unknown one, ignoring case."""
    plain = {one.lower().replace("_", "-"): one for one in known}
    near = get_close_matches(str(name).lower().replace("_", "-"), plain, count, 0.6)
    return [plain[one] for one in near]


def known_names(name: object, known: Iterable[str]) -> str:
    """List the known names, and suggest the most similar one."""
    names = list(known)
    near = similar(name, names)
    return f"{', '.join(names)}{f'. Did you mean {near[0]}?' if near else ''}"


class CMRError(Exception):
    """Base class of all errors that the package raises on purpose.

    Very long messages, such as those of libraries that repeat their input, are shortened in the
    middle.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        if len(text) > _LONGEST_MESSAGE:
            half = _LONGEST_MESSAGE // 2
            text = f"{text[:half]} … {text[-half:]}"
        super().__init__(text)


class DataNotFoundError(CMRError):
    """A dataset, or a part of it, was not found."""


class DataFormatError(CMRError):
    """A dataset file cannot be parsed."""


class ImageError(CMRError):
    """A picture is broken, too large, or of an unsupported format."""


class WeightsError(CMRError):
    """A weights file is missing, truncated, or belongs to another network."""


class UnknownNameError(CMRError):
    """No dataset, protocol, encoder, loss or preset has this name."""

    def __init__(
        self, kind: str, name: object, known: list[str], package: str | None = None
    ) -> None:
        if package is not None:
            super().__init__(f"the {kind} {shown(name)} is not installed: pip install {package}")
        else:
            super().__init__(
                f"unknown {kind} {shown(name)}; choose one of: {known_names(name, known)}"
            )


class UnknownWordsError(CMRError):
    """A text has no word in the vocabulary of the text encoder."""


class QueryError(CMRError):
    """A query, or an argument of a search, is invalid."""


class ModelFormatError(CMRError):
    """A model, gallery or run directory is incomplete, damaged or of an unknown version."""


class NotInstalledError(ModelFormatError):
    """A saved model needs an encoder that is neither installed nor registered."""

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
    """A file cannot be written: the disk is full or read-only."""


class TrainingError(CMRError):
    """Training cannot continue: too few items, a loss that is not finite, or another run."""


class HubError(CMRError):
    """A repository on the Hub cannot be read or written."""
