"""Build the Compare tab, which shows the results of two models for the same query."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import gradio as gr

from cmr_hub.apps.search_page import components
from cmr_hub.apps.search_page.query_options import QueryOptions, cleaned
from cmr_hub.apps.search_page.replies import hint, problem, reply
from cmr_hub.apps.search_page.uploads import read_upload
from cmr_hub.errors import CMRError, UnknownNameError

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.engine import Engine
    from cmr_hub.types import JSONObject

_COUNT = 12
_EMPTY = "Enter a query to search with both models."
_ALONE = """
### Two models, one query

This page was started with one model. To compare models that were trained with other losses, presets
or encoders on the same query and the same pictures, start it with several:

```sh
cmr train pascal-sentence --preset acmr-paper --out runs/acmr
cmr train pascal-sentence --preset cmr-best --out runs/best
cmr demo runs/best --compare runs/acmr
```
"""


def compare_tab(engines: Mapping[str, Engine]) -> None:
    """Build the tab.

    Args:
        engines: engines by the name of the model; all galleries have the same items.
    """
    if len(engines) < 2:
        gr.Markdown(_ALONE, elem_classes="about")
        return

    def compare(
        text: str | None, picture: Path | None, first: str, second: str
    ) -> tuple[JSONObject, JSONObject]:
        try:
            options = QueryOptions(text=cleaned(text), count=_COUNT, target="image")
            image = None if picture is None else read_upload(picture)
            if not options.text and image is None:
                return hint(_EMPTY), hint(_EMPTY)
        except CMRError as error:
            return problem(error), problem(error)
        shown: list[JSONObject] = []
        ids: list[set[str]] = []
        for name in (first, second):
            started = perf_counter()
            try:
                if name not in engines:
                    raise UnknownNameError("model", name, list(engines))
                answer = engines[name].answer(options, image)
                shown.append(reply(engines[name], answer, started))
                ids.append({hit.id for hit in answer.pictures or []})
            except CMRError as error:
                shown.append(problem(error))
                ids.append(set())
        common = len(ids[0] & ids[1])
        for results, found in zip(shown, ids, strict=True):
            if found:
                results["status"] += f" {common} of them are in both lists."
        return shown[0], shown[1]

    names = list(engines)
    with gr.Row(elem_classes="ask"):
        with gr.Column(scale=4, min_width=280), gr.Row():
            text = gr.Textbox(
                label="What are you looking for?",
                show_label=False,
                container=False,
                placeholder="Search with two models",
                scale=5,
                min_width=200,
                elem_id="compare-text",
                elem_classes="box",
            )
            button = gr.Button(
                "Compare", variant="primary", scale=1, min_width=110, elem_classes="go"
            )
        with gr.Column(scale=1, min_width=220):
            picture = components.picture_box("compare-picture", "A picture to search with", 168)
    dropdowns, lists = [], []
    with gr.Row():
        for place, side in enumerate(("first", "second")):
            with gr.Column(min_width=300):
                dropdowns.append(gr.Dropdown(names, value=names[place], label=f"The {side} model"))
                lists.append(
                    components.results(
                        f"compare-{side}", panel=f"compare-{side}", hint=_EMPTY, compact=True
                    )
                )
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on(
        [button.click, text.submit, picture.change, *(dropdown.input for dropdown in dropdowns)],
        compare,
        [text, picture, *dropdowns],
        lists,
        trigger_mode="always_last",
        **quiet,
    )
