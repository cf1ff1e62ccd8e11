"""Offer the service through Gradio, for Gradio's clients and for MCP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import gradio as gr

from cmr_hub.apps.search_page import components
from cmr_hub.apps.search_page.query_options import QueryOptions, sentence
from cmr_hub.apps.search_page.service import Service
from cmr_hub.apps.search_page.uploads import read_upload
from cmr_hub.errors import CMRError
from cmr_hub.types import JSONObject

CONCURRENCY: Final = 2
QUEUE: Final = 128
_IMAGE: Final = (
    "a picture. For MCP, a data: URL or the URL of a picture that was uploaded to this page; other "
    "URLs are not fetched."
)


def gradio_endpoints(service: Service) -> None:
    """Add the endpoints to the page without visible components."""

    def search(
        text: str = "",
        # Gradio takes the default None from the signature, and other defaults from the components.
        image: Path | None = None,
        without: str = "",
        where: str = "",
        target: str = "",
        offset: float = 0,
        count: float = 10,
        min_score: float | None = None,
        clear: float | None = None,
        distinct: bool = False,
        like: str = "",
        weight: float = 1,
    ) -> JSONObject:
        request = {**locals(), "image": None}
        with _errors_for_clients():
            values = {name: request[name] for name in QueryOptions.model_fields}
            found = service.search(_read(image), **values)
            for name in ("pictures", "sentences"):
                found[name] = [_for_clients(item) for item in found[name]]
            return found

    def encode(text: str = "", picture: Path | None = None) -> JSONObject:
        with _errors_for_clients():
            return service.encode(text, _read(picture))

    def facets() -> JSONObject:
        with _errors_for_clients():
            return service.facets()

    def item(id: str) -> JSONObject:
        with _errors_for_clients():
            return _for_clients(service.item(id))

    fields = QueryOptions.model_fields
    about = {name: str(field.description) for name, field in fields.items()} | {"image": _IMAGE}
    # Clients and MCP show these docstrings as documentation of the endpoints.
    search.__doc__ = _described("Find pictures and sentences of the gallery.", about)
    encode.__doc__ = _described(
        "Encode a sentence or a picture as a unit vector. The dot product of two vectors is their "
        "cosine similarity.",
        {"text": "an English sentence; or", "picture": _IMAGE},
    )
    facets.__doc__ = "List the columns of the gallery and their values, for `where` of search."
    item.__doc__ = _described("Return one item of the gallery.", {"id": "the id of the item"})
    # gr.api would pass a client's path to the function unchecked.
    with gr.Column(visible=False):
        answer = gr.JSON(label="answer")
        picture = components.picture_box("service-picture", "picture", 100)
        # A component with a value is an optional argument.
        boxes: dict[str, Any] = {
            name: picture if name == "image" else _box(name, field.default)
            for name, field in fields.items()
        }
        id_box = gr.Textbox(label="id")
        endpoints: list[tuple[Callable[..., Any], list[Any]]] = [
            (search, [*boxes.values()]),
            (encode, [boxes["text"], picture]),
            (facets, []),
            (item, [id_box]),
        ]
        button = gr.Button()
        for function, inputs in endpoints:
            button.click(
                function,
                inputs,
                answer,
                api_name=function.__name__,
                show_progress="hidden",
                concurrency_limit=CONCURRENCY,
            )


def _box(name: str, default: Any) -> Any:
    """Return a component for a parameter; it declares the type and default to programs."""
    if isinstance(default, bool):
        return gr.Checkbox(default, label=name)
    if isinstance(default, str) or name == "target":
        return gr.Textbox(default or "", label=name)
    return gr.Number(default, label=name)


def _described(summary: str, arguments: dict[str, str]) -> str:
    lines = [f"    {name}: {about}" for name, about in arguments.items()]
    return "\n".join([summary, "", "Args:", *lines])


def _for_clients(item: JSONObject) -> JSONObject:
    """Rename the path of an item, because Gradio's client downloads objects with a `path`."""
    return {"file" if name == "path" else name: item[name] for name in item}


def _read(picture: Path | None) -> Any:
    return None if picture is None else read_upload(picture)


@contextmanager
def _errors_for_clients() -> Iterator[None]:
    """Convert a `CMRError` to a `gr.Error`, whose message clients receive."""
    try:
        yield
    except CMRError as error:
        raise gr.Error(sentence(error), print_exception=False) from error
