"""Show a card with the picture and the sentences of the point under the pointer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from cmr_hub.apps.dashboard.sources import thumbnail

if TYPE_CHECKING:
    from cmr_hub.experiments.space import Space

_HTML: Final = """<div class="card empty"><p class="hint">Point at a dot to see its item.</p>
<img alt="" hidden><p class="head"></p><p class="id"></p><div class="sentences"></div></div>"""
_CSS: Final = """
.card { border: 1px solid rgba(127, 127, 127, .35); border-radius: .5rem; overflow: hidden;
  font-family: var(--st-font); font-size: .9rem; line-height: 1.4; color: var(--st-text-color);
  min-height: 6rem; }
.card img { width: 100%; display: block; }
.card img[hidden], .card:not(.empty) .hint, .card.empty :not(.hint) { display: none; }
p { margin: .45rem .8rem; }
.hint { opacity: .7; padding-top: .6rem; }
.head { font-weight: 600; margin-bottom: 0; }
.id { opacity: .65; font-size: .8rem; margin-top: 0; overflow-wrap: anywhere; }
"""

_card: Final = st.components.v2.component(
    "cmr_hover_card",
    html=_HTML,
    css=_CSS,
    js=(Path(__file__).parent / "hover.js").read_text(encoding="utf-8"),
)


def point_facts(space: Space, place: int) -> dict[str, Any]:
    """Return the content of the card of a point. Images come before texts among the points."""
    item = space.items[int(space.rows[place])]
    is_text = place >= len(space.images)
    return {
        "place": place,
        "head": " · ".join(filter(None, ["text" if is_text else "image", item.label])),
        "id": item.id,
        "picture": thumbnail(item.path),
        "sentences": list(item.sentences[:5]),
    }


@st.fragment
def hover_card(space: Space, name: str, figure: str) -> None:
    """Show the card of a figure. A request for the data of a point reruns only this fragment.

    Args:
        space: the space that the figure shows.
        name: name of the space; a different name clears the cached points.
        figure: key of the figure's container.
    """
    asked = (st.session_state.get("hover") or {}).get("asked")
    is_point = isinstance(asked, int) and 0 <= asked < len(space.rows)
    points = [point_facts(space, asked)] if is_point and asked is not None else []
    _card(
        key="hover",
        data={"map": name, "figure": figure, "points": points},
        on_asked_change=lambda: None,
    )
