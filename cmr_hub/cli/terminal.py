"""Print untrusted text without its control characters.

A caption, label, path or model name may contain control characters, such as ESC, that change
colours, hide the following text or write to the clipboard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

LONGEST: Final = 500
"""Maximum length of a table cell; laying out twenty million characters would take minutes."""
_BIDI: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")
_INNER: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]")


def printable(text: str) -> str:
    """Escape control characters, e.g. as `\\x1b`; line breaks and tabs are kept."""
    return _CONTROLS.sub(_escaped, text)


def cell(text: object, longest: int | None = LONGEST) -> str:
    """Return text for a table cell: one line, escaped control characters, limited length."""
    full = str(text)
    shown = full if longest is None or len(full) <= longest else f"{full[: longest - 1]}…"
    return _INNER.sub(_escaped, shown)


class Terminal(Console):
    """A console that escapes control characters in printed text, except its own."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as `Console`, with escaped control characters."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROLS.search(segment.text):
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
