"""Create components that Gradio lacks: results, viewer, examples and safe upload boxes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from cmr_hub.apps.search_page.uploads import uploaded_path, uploaded_paths

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject

_ASSETS: Final = Path(__file__).with_name("assets")


@cache
def asset(name: str) -> str:
    """Read a file of `assets/`."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def results(
    elem_id: str, *, panel: str, hint: str, compact: bool = False, has_address: bool = False
) -> gr.HTML:
    """Create a status line with lists of results.

    The events `select` (open a result) and `like` (search for similar items) contain the id of a
    result. `clear` repeats the previous search, and `expand` requests more results. `undo` contains
    the `query` of the URL that the browser went back to.

    Args:
        elem_id: id of the element.
        panel: name of the panel.
        hint: status before the first search.
        compact: whether the pictures are small.
        has_address: whether to keep the query in the page's URL.
    """
    classes = ["results", "compact"] if compact else ["results"]
    return _scripted(
        "results.js",
        elem_id,
        classes,
        {"status": hint},
        panel=panel,
        compact=compact,
        has_address=has_address,
    )


def viewer(elem_id: str, *, panel: str) -> gr.HTML:
    """Create a dialog that shows one result. `input` requests the heat map; see also `results`."""
    return _scripted("viewer.js", elem_id, [], None, panel=panel, heat=None)


def examples(elem_id: str, sentences: list[str]) -> gr.HTML:
    """Create a list of example sentences; `select` carries a `text`."""
    value = {"sentences": sentences, "pictures": []}
    return _scripted("examples.js", elem_id, ["examples"], value)


def picture_box(elem_id: str, label: str, height: int) -> gr.Image:
    """Create an upload box for one picture. Handlers receive the path of the unopened file."""
    box = gr.Image(
        label=label,
        show_label=False,
        type="filepath",
        format="jpeg",
        sources=["upload", "clipboard", "webcam"],
        height=height,
        buttons=[],
        placeholder="Drop a picture here\nor click to choose one",
        elem_id=elem_id,
        elem_classes="drop",
    )
    # Gradio would open the file before `read_upload` can check it. The method is replaced, because
    # Gradio writes a .pyi file next to the source of each subclass.
    box.preprocess = uploaded_path
    return box


def files_box(elem_id: str, label: str, suffixes: list[str]) -> gr.File:
    """Create an upload box for several files. Handlers receive the paths."""
    box = gr.File(
        label=label,
        file_count="multiple",
        file_types=suffixes,
        height=170,
        elem_id=elem_id,
        elem_classes="drop",
    )
    box.preprocess = uploaded_paths
    return box


def _scripted(
    script: str, elem_id: str, classes: list[str], value: JSONObject | None, **props: Any
) -> gr.HTML:
    # Gradio evaluates values in templates, so the template is empty, and the script inserts the
    # values as text.
    return gr.HTML(
        value,
        html_template="",
        js_on_load=asset("dom.js") + asset(script),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=classes,
        **props,
    )
