"""HTML tables for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_table(
    rows: Iterable[Sequence[object]], head: Sequence[object] = (), caption: str = ""
) -> str:
    """Return an HTML table whose first column is left-aligned; all texts are escaped."""

    def line(cells: Sequence[object], tag: str) -> str:
        styles = ("text-align: left", *["text-align: right"] * (len(cells) - 1))
        return "".join(
            f'<{tag} style="{style}">{html.escape(str(cell))}</{tag}>'
            for cell, style in zip(cells, styles, strict=True)
        )

    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    top = f"<thead><tr>{line(head, 'th')}</tr></thead>" if head else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table>{above}{top}<tbody>{body}</tbody></table>"
