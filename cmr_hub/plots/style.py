"""Common style of all figures, with a palette for colour-blind readers."""

from __future__ import annotations

import html
import re
from typing import Any, Final

import plotly.graph_objects as go

COLOURS: Final = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#7F7F7F",
    "#B8A800",
)
"""Okabe and Ito's palette; grey and ochre replace black and yellow, so that all colours are visible
on black and on white."""
DASHES: Final = ("solid", "dash", "dot")
SYMBOLS: Final = ("circle", "square", "diamond", "cross")
SCALE: Final = "Cividis"
GRID: Final = "rgba(127, 127, 127, 0.22)"
MUTED: Final = "rgba(127, 127, 127, 0.55)"
_LONG: Final = 34


def colour(index: int) -> str:
    """Return the colour of a series."""
    return COLOURS[index % len(COLOURS)]


def plain(text: object) -> str:
    """Escape a text, so that Plotly does not interpret it as HTML."""
    return html.escape(str(text), quote=False)


def short(text: str, length: int = _LONG) -> str:
    """Shorten a name to fit next to an axis, and escape it."""
    # Keep the end, because long names often differ only there.
    end = length // 3
    return plain(text if len(text) <= length else f"{text[: length - end - 1]}…{text[-end:]}")


def two_lines(name: str) -> str:
    """Put the first part of a name above the others, and escape it."""
    first, _, others = name.partition(" · ")
    below = f'<br><span style="font-size:10px">{short(others, 40)}</span>' if others else ""
    return short(first, 36) + below


def finish(figure: go.Figure, *, height: int = 420, **layout: Any) -> go.Figure:
    """Apply the common layout without changing axis titles."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 16, "b": 8},
        font={"family": "Source Sans, Source Sans Pro, Segoe UI, sans-serif", "size": 14},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "title": None},
        hoverlabel={"align": "left"},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": MUTED, "activecolor": COLOURS[0]},
    )
    axes = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": MUTED,
        "automargin": True,
        # With any other value, Plotly measures every label, which is slow.
        "ticklabeloverflow": "allow",
    }
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    figure.update_layout(**layout)
    return figure


def file_name(text: str) -> str:
    """Convert a text to a portable file name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:80] or "figure"


def as_html(figure: go.Figure, title: str) -> bytes:
    """Return a self-contained HTML page with the figure."""
    page = go.Figure(figure).update_layout(
        template="plotly_white", paper_bgcolor="white", plot_bgcolor="white"
    )
    body = page.to_html(include_plotlyjs=True, full_html=True)
    return str(body).replace("<head>", f"<head><title>{plain(title)}</title>", 1).encode()
