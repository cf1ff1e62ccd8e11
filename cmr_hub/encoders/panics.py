"""Where a library that is written in Rust breaks down, instead of raising an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cmr_hub.errors import ModelFormatError

_PANIC = "PanicException"
_LONGEST = 300


@contextmanager
def refusing_panics(name: str) -> Iterator[None]:
    """Makes a ModelFormatError of a panic inside, which no `except Exception` would catch.

    A tokeniser panics on a regular expression that it cannot end: the file that holds it is to
    blame, not this process.

    Args:
        name: what to call the encoder in the error.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        reason = " ".join(str(error).split())[:_LONGEST]
        raise ModelFormatError(f"the tokeniser of {name} breaks down: {reason}") from error
