"""Convert panics of libraries written in Rust to errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cmr_hub.errors import ModelFormatError

_PANIC = "PanicException"
_LONGEST = 300


@contextmanager
def refusing_panics(name: str) -> Iterator[None]:
    """Convert a panic inside the context, which `except Exception` misses, to ModelFormatError.

    For example, a tokeniser panics if its file has a regular expression that it cannot evaluate.

    Args:
        name: Name of the encoder in the error message.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        reason = " ".join(str(error).split())[:_LONGEST]
        raise ModelFormatError(f"the tokeniser of {name} failed: {reason}") from error
