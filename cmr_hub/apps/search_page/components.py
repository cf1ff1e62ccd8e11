"""The parts of the page that Gradio has not: lists of results, the viewer, examples."""

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
    """A file of `assets/`."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def results(elem_id: str, *, panel: str, hint: str, compact: bool = False) -> gr.HTML:
    """Status and lists of results.

    Its events carry the id of a result: `select` opens it, `like` asks for more like it; `clear`
    goes back to what was asked before.
    """
    classes = ["results", "compact"] if compact else ["results"]
    return _scripted("results.js", elem_id, classes, {"status": hint}, panel=panel, compact=compact)


def viewer(elem_id: str, *, panel: str) -> gr.HTML:
    """One result in a dialog. `select` and `like` as of `results`; `input` asks for the map."""
    return _scripted("viewer.js", elem_id, [], None, panel=panel, heat=None)


def examples(elem_id: str, value: JSONObject) -> gr.HTML:
    """Sentences and pictures to try; `select` carries a `text` or an `id`."""
    return _scripted("examples.js", elem_id, ["examples"], value)


def picture_box(elem_id: str, label: str, height: int) -> gr.Image:
    """A box for one picture; its handler gets a path that nobody has opened yet."""
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
    # Gradio would open the file before `read_upload` can judge it. (Not by a subclass: for each
    # one Gradio writes a .pyi file next to the source.)
    box.preprocess = uploaded_path
    return box


def files_box(elem_id: str, label: str, suffixes: list[str]) -> gr.File:
    """A box for many files; its handler gets their paths."""
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
    # The template is empty: the script puts values in as text. In a template of Gradio's they
    # would be run as one.
    return gr.HTML(
        value,
        html_template="",
        js_on_load=asset("dom.js") + asset(script),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=classes,
        **props,
    )
