"""List the pages of the dashboard and navigate between them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

import streamlit as st
from PIL import Image, ImageDraw

from cmr_hub.apps.dashboard.text import STYLE

PAGES: Final = {
    "overview": ("Overview", ":material/home:"),
    "ablations": ("Ablations", ":material/bar_chart:"),
    "training": ("Training curves", ":material/show_chart:"),
    "space": ("Common space", ":material/scatter_plot:"),
    "explorer": ("Retrieval explorer", ":material/manage_search:"),
    "gallery": ("Gallery map", ":material/map:"),
}
"""Title and icon of each page by its name in the URL."""

# Streamlit would serve a directory named "pages" automatically, and the first visitor who follows a
# link would get a page without style and navigation.
_FOLDER: Final = Path(__file__).parent / "views"


def page_file(name: str) -> Path:
    """Return the script of a page."""
    return _FOLDER / f"{name}.py"


@functools.cache
def _favicon() -> Image.Image:
    size = 64
    image = Image.new("RGBA", (size, size))
    for colour, left in (("#0072B2", 2), ("#E69F00", 22)):
        disc = Image.new("RGBA", (size, size))
        ImageDraw.Draw(disc).ellipse((left, 12, left + 40, 52), fill=f"{colour}D0")
        image = Image.alpha_composite(image, disc)
    return image


def main() -> None:
    """Show the page that the URL selects."""
    # For a named icon, the browser would contact another server.
    st.set_page_config(page_title="CMR Hub", page_icon=_favicon(), layout="wide")
    page = st.navigation(
        [
            st.Page(
                page_file(name),
                title=title,
                icon=icon,
                url_path=name,
                default=name == "overview",
            )
            for name, (title, icon) in PAGES.items()
        ]
    )
    st.html(STYLE)
    page.run()
