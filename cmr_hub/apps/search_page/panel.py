"""Build the search panel: the query, the options and the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from cmr_hub.apps.search_page import components

# These are imported at run time, because Gradio reads the annotations of handlers.
from cmr_hub.apps.search_page.engine import Answer, Engine
from cmr_hub.apps.search_page.explanation import explanation, heat
from cmr_hub.apps.search_page.facets import MOST_CHOICES, Facets, condition_of, filters_of
from cmr_hub.apps.search_page.query_options import MAX_HITS, QueryOptions, cleaned
from cmr_hub.apps.search_page.replies import fresh, problem, reply
from cmr_hub.apps.search_page.uploads import read_upload
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.types import JSONObject, Modality

EngineOf: TypeAlias = Callable[[gr.Request], Engine]
"""Function that returns a visitor's engine. It raises CMRError if there is none yet."""
Shown: TypeAlias = tuple[JSONObject, Answer | None]

SHOW: Final = {"Automatic": None, "Pictures": "image", "Sentences": "text", "Both": "both"}
COUNT: Final = 12
MORE: Final = 24
MOST_CLEAR: Final = 6
CLEAR: Final = "Only clear hits, e.g. 2.5 (0: any)"
_NAMES: Final = {name: name for name in QueryOptions.model_fields} | {"text": "q", "count": "k"}
"""Names of URL parameters by field of `QueryOptions`."""


class Handlers:
    """Event handlers of a panel. They show every `CMRError` as a sentence on the page.

    Args:
        engine_of: returns a visitor's engine.
        empty: text to show if the query is empty.
        filters: columns with a list of choices.
    """

    def __init__(self, engine_of: EngineOf, empty: str, filters: tuple[str, ...] = ()) -> None:
        self.engine_of, self.empty, self.filters = engine_of, empty, filters

    def ask(self, request: gr.Request, *inputs: Any) -> Shown:
        """Search with the query and the options of the panel."""
        return self._answered(request, partial(self._options, *inputs), inputs[1])

    def like(self, event: gr.EventData, request: gr.Request, *inputs: Any) -> Shown:
        """Search for items similar to the selected one."""
        return self._answered(request, lambda: self._options(*inputs, like=_id(event)))

    def refine(self, request: gr.Request, answer: Answer | None, *inputs: Any) -> Shown:
        """Repeat the last search with other options."""
        like = "" if answer is None else answer.options.like
        options_of = partial(self._options, *inputs, like=like)
        return self._answered(request, options_of, None if like else inputs[1])

    def more(
        self, request: gr.Request, answer: Answer | None, *inputs: Any
    ) -> tuple[JSONObject, Answer | None, float]:
        """Repeat the last search with a larger number of results, and return the number."""
        count = min(_within(inputs[4], 1, MAX_HITS) + MORE, MAX_HITS)
        return *self.refine(request, answer, *inputs[:4], count, *inputs[5:]), count

    def restore(self, request: gr.Request) -> list[Any]:
        """Restore the panel from the page's URL and search."""
        query = dict(request.query_params)
        *boxes, shown, answer = self._restored(request, query)
        if not any(name in query for name in _NAMES.values()):
            # Do not overwrite what the visitor may have typed already.
            boxes = [
                gr.update(choices=box["choices"]) if isinstance(box, dict) else gr.skip()
                for box in boxes
            ]
        return [*boxes, {**shown, "is_first": True}, answer]

    def back(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Restore the panel from a URL of the browser's history and search."""
        query = str(_field(event, "query") or "")
        return [None, *self._restored(request, dict(parse_qsl(query.removeprefix("?"))))]

    def _restored(self, request: gr.Request, query: Mapping[str, str]) -> list[Any]:
        facets = self.engine_of(request).facets
        failure = None
        try:
            values = {
                field: query[name]
                for field, name in _NAMES.items()
                if name in query and field not in ("image", "offset")
            }
            options = QueryOptions.of({"count": COUNT, **values})
            chosen, first, last, other, place = filters_of(options.where, facets.filters)
        except CMRError as error:
            failure = error
            options, chosen, first, last = QueryOptions(count=COUNT), {}, "", ""
            other = place = ""
        boxes = [
            options.text,
            options.without,
            options.weight,
            options.count,
            next(name for name, target in SHOW.items() if target == options.target),
            options.min_score or 0,
            options.clear or 0,
            options.distinct,
            other,
            first,
            last,
            place,
            *(
                gr.update(choices=facets.filters.get(name, []), value=chosen.get(name, []))
                for name in self.filters
            ),
        ]
        if failure is not None:
            return [*boxes, problem(failure), None]
        shown, answer = self._answered(request, lambda: options)
        return [*boxes, {**shown, "is_restored": True}, answer]

    def _options(
        self,
        text: str | None,
        picture: Path | None,
        without: str | None,
        weight: float,
        count: float,
        show: str,
        min_score: float,
        clear: float,
        distinct: bool,
        condition: str | None,
        first: str | None,
        last: str | None,
        place: str | None,
        *chosen: list[Any] | None,
        like: str = "",
    ) -> QueryOptions:
        choices = {name: _chosen(values) for name, values in zip(self.filters, chosen, strict=True)}
        return QueryOptions(
            text="" if like else cleaned(text),
            without="" if like else cleaned(without),
            where=condition_of(
                choices, first or "", last or "", cleaned(condition), cleaned(place)
            ),
            weight=_within(weight, 0, 3),
            count=round(_within(count, 1, MAX_HITS)),
            target=SHOW.get(show),
            min_score=_within(min_score, -1, 1) if min_score else None,
            clear=_within(clear, 0, MOST_CLEAR) if clear else None,
            distinct=bool(distinct),
            like=like,
        )

    def _answered(
        self,
        request: gr.Request,
        options_of: Callable[[], QueryOptions],
        picture: Path | None = None,
    ) -> Shown:
        started = perf_counter()
        try:
            options = options_of()
            engine = self.engine_of(request)
            answer = engine.answer(options, None if picture is None else read_upload(picture))
            shown = reply(engine, answer, started, self.empty)
        except CMRError as error:
            return problem(error), None
        # A URL cannot contain the picture of a query.
        return {**shown, "query": None if picture else query_of(options)}, answer

    def open(self, answer: Answer | None, event: gr.EventData, request: gr.Request) -> JSONObject:
        """Describe the selected item for the viewer."""
        target: Modality = "text" if _field(event, "target") == "text" else "image"
        try:
            return fresh(explanation(self.engine_of(request), answer, _id(event), target))
        except CMRError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def look(self, answer: Answer | None, event: gr.EventData, request: gr.Request) -> Any:
        """Compute the heat map of the selected item's picture."""
        try:
            return gr.update(heat=fresh(heat(self.engine_of(request), answer, _id(event))))
        except CMRError as error:
            failure = fresh({"id": _id(event), "problem": problem(error)["status"]})
            return gr.update(heat=failure)


def query_of(options: QueryOptions) -> str:
    """Return the URL parameters of a query, without defaults."""
    default = QueryOptions(count=COUNT)
    values = {_NAMES[name]: value for name, value in options if value != getattr(default, name)}
    return f"?{urlencode(values)}" if values else ""


@dataclass(frozen=True)
class Panel:
    """The components of a panel, for events of other components.

    Attributes:
        inputs: inputs of `handlers.ask`.
        outputs: outputs of `handlers.ask`.
        handlers: the event handlers.
    """

    inputs: list[Any]
    outputs: list[Any]
    handlers: Handlers


def search_panel(
    name: str,
    engine_of: EngineOf,
    *,
    placeholder: str,
    empty: str,
    facets: Facets | None = None,
    has_texts: bool = False,
    examples: list[str] | None = None,
) -> Panel:
    """Build the query, the options and the results in the current tab.

    Args:
        name: prefix of the elements' ids.
        engine_of: returns a visitor's engine.
        placeholder, empty: text in the empty text box, and status of an empty query.
        facets: columns to filter the gallery by. A panel with facets has the focus, and keeps its
            query in the page's URL.
        has_texts: whether the gallery has sentences.
        examples: example sentences.
    """
    known = facets or Facets()
    handlers = Handlers(engine_of, empty, tuple(known.filters))
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
                    autofocus=facets is not None,
                    elem_id=f"{name}-text",
                    elem_classes="box",
                )
                button = gr.Button(
                    "Search", variant="primary", scale=1, min_width=110, elem_classes="go"
                )
            if examples:
                example_list = components.examples(f"{name}-examples", examples)
        with gr.Column(scale=1, min_width=220):
            picture = components.picture_box(f"{name}-picture", "A picture to search with", 168)
    with gr.Accordion(
        "Filters and options", open=False, elem_classes="options", elem_id=f"{name}-options"
    ):
        with gr.Row():
            dropdowns = [
                gr.Dropdown(
                    [*choices],
                    multiselect=True,
                    label="Class" if column == "label" else column.replace("_", " ").capitalize(),
                    min_width=200,
                    value=[],
                )
                for column, choices in known.filters.items()
            ]
        with gr.Row():
            first, last = (
                gr.Textbox(
                    label=label,
                    placeholder=day,
                    max_lines=1,
                    visible=known.dates is not None,
                    min_width=200,
                    elem_classes="day",
                )
                for label, day in zip(
                    ("Taken from", "Taken until"), known.dates or ("", ""), strict=True
                )
            )
            place = gr.Textbox(
                label="Near",
                placeholder="48.2,16.4,10km",
                max_lines=1,
                visible=known.has_places,
                min_width=200,
            )
            condition = gr.Textbox(
                label="Condition",
                placeholder=_columns(known),
                visible=facets is not None,
                min_width=220,
                scale=2,
            )
        with gr.Row():
            without = gr.Textbox(
                label="Without", placeholder="what should not be in the picture", min_width=220
            )
            weight = gr.Slider(0, 3, 1, step=0.1, label="Weight of the words with a picture")
            show = gr.Radio(
                list(SHOW), value=next(iter(SHOW)), label="Show", visible=has_texts, min_width=220
            )
        with gr.Row():
            count = gr.Slider(1, MAX_HITS, COUNT, step=1, label="Number of results")
            min_score = gr.Slider(0, 1, 0, step=0.05, label="Minimum score (0: any)")
            clear = gr.Slider(0, MOST_CLEAR, 0, step=0.1, label=CLEAR)
            distinct = gr.Checkbox(label="Hide near duplicates", min_width=220)
    results = components.results(
        f"{name}-results", panel=name, hint=empty, has_address=facets is not None
    )
    viewer = components.viewer(f"{name}-viewer", panel=name)
    answer = gr.State(None)
    options = [
        *(without, weight, count, show, min_score, clear, distinct),
        *(condition, first, last, place),
    ]
    inputs = [text, picture, *options, *dropdowns]
    outputs = [results, answer]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    searches = [button.click, text.submit, picture.change, results.clear]
    gr.on(searches, handlers.ask, inputs, outputs, trigger_mode="always_last", **quiet)
    refined = [
        *(box.submit for box in (without, condition, first, last, place)),
        *(slider.release for slider in (weight, count, min_score, clear)),
        *(box.input for box in (show, distinct, *dropdowns)),
    ]
    gr.on(
        refined,
        handlers.refine,
        [answer, *inputs],
        outputs,
        trigger_mode="always_last",
        **quiet,
    )
    for component in (results, viewer):
        component.like(handlers.like, inputs, outputs, **quiet)
        component.select(handlers.open, answer, viewer, **quiet)
    results.expand(handlers.more, [answer, *inputs], [*outputs, count], **quiet)
    viewer.input(handlers.look, answer, viewer, **quiet)
    if example_list is not None:
        example_list.select(_chosen_example, None, [text, picture], **quiet).then(
            handlers.ask, inputs, outputs, **quiet
        )
    if facets is not None:
        restored = [text, *options, *dropdowns, *outputs]
        gr.on(None, handlers.restore, None, restored, **quiet)
        results.undo(handlers.back, None, [picture, *restored], **quiet)
    return Panel(inputs, outputs, handlers)


def _columns(facets: Facets) -> str:
    names = [name for name, facet in facets.columns.items() if facet["count"]][:4]
    return f"on {', '.join(names)} …, e.g. {names[0]} IS NOT NULL" if names else ""


def _chosen_example(event: gr.EventData) -> tuple[str, None]:
    """Return the clicked example as the only query."""
    return str(_field(event, "text") or ""), None


def _field(event: gr.EventData, name: str) -> Any:
    data = getattr(event, "_data", None)
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


def _chosen(values: Any) -> list[str | int]:
    """Check the selected values of a filter.

    Raises:
        QueryError: they are not a list, or there are too many.
    """
    if not isinstance(values or [], list):
        raise QueryError("the values of a filter must be a list; choose them from the filter")
    if len(values or ()) > MOST_CHOICES:
        raise QueryError(
            f"choose at most {MOST_CHOICES} values of a filter, or none to search all items"
        )
    return list(dict.fromkeys(value for value in values or () if isinstance(value, str | int)))
