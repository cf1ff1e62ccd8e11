"""Print untrusted text without control characters, and values as JSON.

Control characters in a caption, label, path or model name could change colours, hide the following
text or write to the clipboard.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

LONGEST: Final = 500
"""Maximum length of a table cell. The layout of twenty million characters would take minutes."""
_BIDI: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")
_INNER: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]")


def printable(text: str) -> str:
    """Escape control characters, e.g. as `\\x1b`, except line breaks and tabs."""
    return _CONTROLS.sub(_escaped, text)


def cell(text: object, longest: int | None = LONGEST) -> str:
    """Return text for a table cell, with escaped control characters and limited length."""
    full = str(text)
    shown = full if longest is None or len(full) <= longest else f"{full[: longest - 1]}…"
    return _INNER.sub(_escaped, shown)


class Terminal(Console):
    """A console that escapes control characters in printed text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as `Console`, and escape control characters in texts."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROLS.search(segment.text):
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def json_text(value: Any) -> str:
    """Serialise a value as JSON. NaN and infinity become null; dates and paths become text."""
    return json.dumps(_finite(value), indent=2, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
