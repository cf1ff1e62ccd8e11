"""What is printed: words of strangers are text on the screen, and never orders to the terminal.

A caption, a label, a path or the name of a model may hold the characters that colour a terminal,
hide what follows, or write to the clipboard (ESC, and those that stand for it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

LONGEST: Final = 500
"""Characters of a cell of a table: one of twenty million would be laid out for minutes."""
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_INNER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with its control characters written out, as `\\x1b`; lines and tabs stay."""
    return _CONTROLS.sub(_written_out, text)


def cell(text: object, longest: int | None = LONGEST) -> str:
    """Text for a cell of a table: on one line, without control characters, not too long."""
    whole = str(text)
    shown = whole if longest is None or len(whole) <= longest else f"{whole[: longest - 1]}…"
    return _INNER.sub(_written_out, shown)


class Terminal(Console):
    """A console that writes out control characters in whatever it prints, but its own."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See `Console`."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROLS.search(segment.text):
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
