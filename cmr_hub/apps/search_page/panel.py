"""One box to search with and its results; the same for the gallery and for a visitor's pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeAlias

import gradio as gr

from cmr_hub.apps.search_page import components

# Gradio looks the annotations of handlers up, to know what to give them.
from cmr_hub.apps.search_page.engine import MOST_CHOICES, Answer, Engine
from cmr_hub.apps.search_page.explanation import explanation, heat
from cmr_hub.apps.search_page.query_options import MAX_HITS, QueryOptions, Show, cleaned
from cmr_hub.apps.search_page.replies import fresh, hint, problem, reply
from cmr_hub.apps.search_page.uploads import read_upload
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.types import JSONObject, Modality

EngineOf: TypeAlias = Callable[[gr.Request], Engine]
"""The engine that a visitor searches with. Raises CMRError where there is none yet."""

SHOW: Final[dict[str, Show]] = {
    "Whatever fits": "automatic",
    "Pictures": "pictures",
    "Sentences": "sentences",
    "Both": "both",
}


MOST_CLEAR: Final = 6
CLEAR: Final = "Only clear hits: how far one stands out, e.g. 2.5 (0: any)"


class Handlers:
    """What the events of a panel call; every `CMRError` becomes a sentence on the page.

    Args:
        engine_of: the engine that a visitor searches with.
        empty: what to say where nothing is asked.
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
        """What is in the box → the results, and the answer to be asked about."""
        started = perf_counter()
        try:
            ask = QueryOptions(
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
            answer = engine.answer(ask, None if picture is None else read_upload(picture))
            if answer is None:
                return hint(self.empty), None
            return reply(engine, answer, started), answer
        except CMRError as error:
            return problem(error), None

    def like(
        self, count: float, distinct: bool, event: gr.EventData, request: gr.Request
    ) -> tuple[JSONObject, Answer | None]:
        """More like one item."""
        started = perf_counter()
        try:
            engine = self.engine_of(request)
            number = round(_within(count, 1, MAX_HITS))
            answer = engine.answer(
                QueryOptions(like=_id(event), count=number, distinct=bool(distinct))
            )
            return (
                (hint(self.empty), None)
                if answer is None
                else (
                    reply(engine, answer, started),
                    answer,
                )
            )
        except CMRError as error:
            return problem(error), None

    def open(self, answer: Answer | None, event: gr.EventData, request: gr.Request) -> JSONObject:
        """One item → what the viewer shows."""
        target: Modality = "text" if _told(event, "target") == "text" else "image"
        try:
            return fresh(explanation(self.engine_of(request), answer, _id(event), target))
        except CMRError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def look(self, answer: Answer | None, event: gr.EventData, request: gr.Request) -> Any:
        """One item → the map that is laid over its picture."""
        try:
            return gr.update(heat=fresh(heat(self.engine_of(request), answer, _id(event))))
        except CMRError as error:
            told = fresh({"id": _id(event), "problem": problem(error)["status"]})
            return gr.update(heat=told)


@dataclass(frozen=True)
class Panel:
    """The parts that a tab may connect with others.

    Attributes:
        inputs: of `search`.
        outputs: of `search`.
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
    """The box, the options and the results, within a tab.

    Args:
        name: what the ids of its elements begin with.
        engine_of: the engine that a visitor searches with.
        placeholder, empty: what the box says, and the results before a search.
        labels, sources: to be chosen from; empty where there is nothing to choose.
        has_texts: whether there are sentences to be found.
        autofocus: begin here.
        examples: for `components.examples`.
    """
    handlers = Handlers(engine_of, empty)
    tried = None
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
                tried = components.examples(f"{name}-examples", examples)
        with gr.Column(scale=1, min_width=220):
            picture = components.picture_box(f"{name}-picture", "A picture to search with", 168)
    with gr.Accordion("Options", open=False, elem_classes="options", elem_id=f"{name}-options"):
        with gr.Row():
            unwanted = gr.Textbox(
                label="Without", placeholder="what should not be there", min_width=220
            )
            weight = gr.Slider(0, 3, 1, step=0.1, label="Weight of the words beside a picture")
        with gr.Row():
            chosen = gr.Dropdown(
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
            least = gr.Slider(0, 1, 0, step=0.05, label="Least score (0: any)")
            clear = gr.Slider(0, MOST_CLEAR, 0, step=0.1, label=CLEAR)
            distinct = gr.Checkbox(label="Hide what is nearly the same", min_width=220)
    results = components.results(f"{name}-results", panel=name, hint=empty)
    viewer = components.viewer(f"{name}-viewer", panel=name)
    answer = gr.State(None)
    inputs = [text, picture, unwanted, weight, count, show, chosen, origin, least, clear]
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
            least.release,
            clear.release,
            chosen.input,
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
    for part in (results, viewer):
        part.like(handlers.like, [count, distinct], outputs, **quiet)
        part.select(handlers.open, answer, viewer, **quiet)
    viewer.input(handlers.look, answer, viewer, **quiet)
    if tried is not None:
        tried.select(_chosen_example(engine_of), None, [text, picture], **quiet).then(
            handlers.search, inputs, outputs, **quiet
        )
    return Panel(text, picture, results, inputs, outputs, handlers)


def _chosen_example(engine_of: EngineOf) -> Callable[..., tuple[str, Any]]:
    def choose(event: gr.EventData, request: gr.Request) -> tuple[str, Any]:
        """The sentence, or the picture, that was clicked."""
        sentence = _told(event, "text")
        if isinstance(sentence, str):
            return sentence, None
        row = engine_of(request).gallery.store.rows([_id(event)])
        path = row.items["path"][0].as_py() if len(row) else None
        # Opened here: a path that is returned would be copied to where it can be fetched.
        return "", None if path is None else read_upload(Path(path))

    return choose


def _told(event: gr.EventData, name: str) -> Any:
    data = event._data
    return data.get(name) if isinstance(data, dict) else None


def _id(event: gr.EventData) -> str:
    found = _told(event, "id")
    if not isinstance(found, str):
        raise QueryError("this result is no longer there; search again")
    return found


def _within(value: Any, least: float, most: float) -> float:
    """A number as it came from outside, between two others.

    Raises:
        QueryError: it is none.
    """
    try:
        return min(max(float(value), least), most)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError("one of the options is not a number") from error


def _chosen(values: Any) -> tuple[str, ...]:
    """What was chosen of a list, as it came from outside.

    Raises:
        QueryError: it is no list, or longer than any that there is to choose from.
    """
    if not isinstance(values or [], list):
        raise QueryError("choose from a list")
    if len(values or ()) > MOST_CHOICES:
        raise QueryError(f"choose at most {MOST_CHOICES} of a list, or none to search in all")
    return tuple(dict.fromkeys(value for value in values or () if isinstance(value, str)))
