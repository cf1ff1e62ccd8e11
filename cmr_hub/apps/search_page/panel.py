"""Build the search panel: the query, the options and the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeAlias

import gradio as gr

from cmr_hub.apps.search_page import components

# Imported at run time: Gradio reads the annotations of handlers to choose their arguments.
from cmr_hub.apps.search_page.engine import MOST_CHOICES, Answer, Engine
from cmr_hub.apps.search_page.explanation import explanation, heat
from cmr_hub.apps.search_page.query_options import MAX_HITS, QueryOptions, Show, cleaned
from cmr_hub.apps.search_page.replies import fresh, hint, problem, reply
from cmr_hub.apps.search_page.uploads import read_upload
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.types import JSONObject, Modality

EngineOf: TypeAlias = Callable[[gr.Request], Engine]
"""Returns the engine that a visitor searches with. Raises CMRError if there is none yet."""

SHOW: Final[dict[str, Show]] = {
    "Automatic": "automatic",
    "Pictures": "pictures",
    "Sentences": "sentences",
    "Both": "both",
}
MOST_CLEAR: Final = 6
CLEAR: Final = "Only clear hits, e.g. 2.5 (0: any)"


class Handlers:
    """Event handlers of a panel, which show every `CMRError` as a sentence on the page.

    Args:
        engine_of: returns the engine that a visitor searches with.
        empty: text to show if the query is empty.
    """

    def __init__(self, engine_of: EngineOf, empty: str) -> None:
        self.engine_of, self.empty = engine_of, empty

    def search(
        self,
        text: str | None,
        picture: Path | None,
        unwanted: str | None,
        weight: float,
        count: float,
        show: str,
        labels: list[str] | None,
        sources: list[str] | None,
        min_score: float,
        clear: float,
        distinct: bool,
        request: gr.Request,
    ) -> tuple[JSONObject, Answer | None]:
        """Search with the query and the options of the panel."""
        started = perf_counter()
        try:
            options = QueryOptions(
                text=cleaned(text),
                unwanted=cleaned(unwanted),
                weight=_within(weight, 0, 3),
                count=round(_within(count, 1, MAX_HITS)),
                show=SHOW.get(show, "automatic"),
                labels=_chosen(labels),
                sources=_chosen(sources),
                min_score=_within(min_score, -1, 1) if min_score else None,
                clear=_within(clear, 0, MOST_CLEAR) if clear else None,
                distinct=bool(distinct),
            )
            engine = self.engine_of(request)
            answer = engine.answer(options, None if picture is None else read_upload(picture))
            if answer is None:
                return hint(self.empty), None
            return reply(engine, answer, started), answer
        except CMRError as error:
            return problem(error), None

    def like(
        self, count: float, distinct: bool, event: gr.EventData, request: gr.Request
    ) -> tuple[JSONObject, Answer | None]:
        """Search for items similar to the one of the event."""
        started = perf_counter()
        try:
            engine = self.engine_of(request)
            number = round(_within(count, 1, MAX_HITS))
            answer = engine.answer(
                QueryOptions(like=_id(event), count=number, distinct=bool(distinct))
            )
            if answer is None:
                return hint(self.empty), None
            return reply(engine, answer, started), answer
        except CMRError as error:
            return problem(error), None

    def open(self, answer: Answer | None, event: gr.EventData, request: gr.Request) -> JSONObject:
        """Describe the item of the event for the viewer."""
        target: Modality = "text" if _field(event, "target") == "text" else "image"
        try:
            return fresh(explanation(self.engine_of(request), answer, _id(event), target))
        except CMRError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def look(self, answer: Answer | None, event: gr.EventData, request: gr.Request) -> Any:
        """Compute the heat map over the picture of the event's item."""
        try:
            return gr.update(heat=fresh(heat(self.engine_of(request), answer, _id(event))))
        except CMRError as error:
            failure = fresh({"id": _id(event), "problem": problem(error)["status"]})
            return gr.update(heat=failure)


@dataclass(frozen=True)
class Panel:
    """The components that a tab may connect with others.

    Attributes:
        inputs: inputs of `Handlers.search`.
        outputs: outputs of `Handlers.search`.
    """

    text: gr.Textbox
    picture: gr.Image
    results: gr.HTML
    inputs: list[Any]
    outputs: list[Any]
    handlers: Handlers


def search_panel(
    name: str,
    engine_of: EngineOf,
    *,
    placeholder: str,
    empty: str,
    labels: list[str],
    sources: list[str],
    has_texts: bool,
    autofocus: bool = False,
    examples: JSONObject | None = None,
) -> Panel:
    """Build the query, the options and the results within a tab.

    Args:
        name: prefix of the elements' ids.
        engine_of: returns the engine that a visitor searches with.
        placeholder, empty: text in the empty query, and in place of the results before a search.
        labels, sources: choices of the filters; a filter without choices is hidden.
        has_texts: whether the gallery has sentences.
        autofocus: whether to put the cursor into the query.
        examples: the value of `components.examples`.
    """
    handlers = Handlers(engine_of, empty)
    example_list = None
    with gr.Row(elem_classes="ask"):
        with gr.Column(scale=4, min_width=280):
            with gr.Row():
                text = gr.Textbox(
                    label="What are you looking for?",
                    show_label=False,
                    container=False,
                    placeholder=placeholder,
                    lines=1,
                    max_lines=4,
                    scale=5,
                    min_width=200,
                    autofocus=autofocus,
                    elem_id=f"{name}-text",
                    elem_classes="box",
                )
                button = gr.Button(
                    "Search", variant="primary", scale=1, min_width=110, elem_classes="go"
                )
            if examples is not None:
                example_list = components.examples(f"{name}-examples", examples)
        with gr.Column(scale=1, min_width=220):
            picture = components.picture_box(f"{name}-picture", "A picture to search with", 168)
    with gr.Accordion("Options", open=False, elem_classes="options", elem_id=f"{name}-options"):
        with gr.Row():
            unwanted = gr.Textbox(
                label="Without", placeholder="what should not be in the picture", min_width=220
            )
            weight = gr.Slider(0, 3, 1, step=0.1, label="Weight of the words with a picture")
        with gr.Row():
            classes = gr.Dropdown(
                labels, multiselect=True, label="Class", visible=bool(labels), min_width=220
            )
            origin = gr.Dropdown(
                sources, multiselect=True, label="Source", visible=bool(sources), min_width=220
            )
            show = gr.Radio(
                list(SHOW), value=next(iter(SHOW)), label="Show", visible=has_texts, min_width=220
            )
        with gr.Row():
            count = gr.Slider(1, MAX_HITS, 12, step=1, label="Number of results")
            min_score = gr.Slider(0, 1, 0, step=0.05, label="Minimum score (0: any)")
            clear = gr.Slider(0, MOST_CLEAR, 0, step=0.1, label=CLEAR)
            distinct = gr.Checkbox(label="Hide near duplicates", min_width=220)
    results = components.results(f"{name}-results", panel=name, hint=empty)
    viewer = components.viewer(f"{name}-viewer", panel=name)
    answer = gr.State(None)
    inputs = [text, picture, unwanted, weight, count, show, classes, origin, min_score, clear]
    inputs.append(distinct)
    outputs = [results, answer]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on(
        [
            button.click,
            text.submit,
            picture.change,
            unwanted.submit,
            weight.release,
            count.release,
            min_score.release,
            clear.release,
            classes.input,
            origin.input,
            show.input,
            distinct.input,
            results.clear,
        ],
        handlers.search,
        inputs,
        outputs,
        trigger_mode="always_last",
        **quiet,
    )
    for component in (results, viewer):
        component.like(handlers.like, [count, distinct], outputs, **quiet)
        component.select(handlers.open, answer, viewer, **quiet)
    viewer.input(handlers.look, answer, viewer, **quiet)
    if example_list is not None:
        example_list.select(_chosen_example(engine_of), None, [text, picture], **quiet).then(
            handlers.search, inputs, outputs, **quiet
        )
    return Panel(text, picture, results, inputs, outputs, handlers)


def _chosen_example(engine_of: EngineOf) -> Callable[..., tuple[str, Any]]:
    def choose(event: gr.EventData, request: gr.Request) -> tuple[str, Any]:
        """Return the sentence or the picture of the clicked example."""
        sentence = _field(event, "text")
        if isinstance(sentence, str):
            return sentence, None
        row = engine_of(request).gallery.store.rows([_id(event)])
        path = row.items["path"][0].as_py() if len(row) else None
        # Opened here, because Gradio would copy a returned path to where visitors can fetch it.
        return "", None if path is None else read_upload(Path(path))

    return choose


def _field(event: gr.EventData, name: str) -> Any:
    data = event._data
    return data.get(name) if isinstance(data, dict) else None


def _id(event: gr.EventData) -> str:
    id_ = _field(event, "id")
    if not isinstance(id_, str):
        raise QueryError("this result no longer exists; search again")
    return id_


def _within(value: Any, low: float, high: float) -> float:
    """Clip a number from a request to an interval. Raises QueryError if it is not a number."""
    try:
        return min(max(float(value), low), high)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError("one of the options is not a number") from error


def _chosen(values: Any) -> tuple[str, ...]:
    """Check a selection from a request.

    Raises:
        QueryError: it is not a list, or longer than any list of choices.
    """
    if not isinstance(values or [], list):
        raise QueryError("choose from a list")
    if len(values or ()) > MOST_CHOICES:
        raise QueryError(f"choose at most {MOST_CHOICES} of a list, or none to search all")
    return tuple(dict.fromkeys(value for value in values or () if isinstance(value, str)))
