"""The pages of the dashboard and the way from one to another."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

from cmr_hub.apps.dashboard.text import STYLE

PAGES: Final = {
    "overview": ("Overview", ":material/home:"),
    "ablations": ("Ablations", ":material/bar_chart:"),
    "training": ("Training curves", ":material/show_chart:"),
    "space": ("Common space", ":material/scatter_plot:"),
    "explorer": ("Retrieval explorer", ":material/manage_search:"),
    "gallery": ("Gallery map", ":material/map:"),
}
"""Title and icon by the name that stands in the address."""

_FOLDER: Final = Path(__file__).parent / "pages"


def page_file(name: str) -> Path:
    """The script of a page."""
    return _FOLDER / f"{name}.py"


def main() -> None:
    """Shows the page that the address asks for."""
    st.set_page_config(page_title="CMR Hub", layout="wide")
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
