"""`cmr search` and `cmr demo`: using a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cmr_hub.cli.options import ModelName, console

if TYPE_CHECKING:
    from cmr_hub.gallery.hit import Hit


class Target(StrEnum):
    """What to search among."""

    IMAGE = "image"
    TEXT = "text"


def search(
    model_name: ModelName,
    text: Annotated[str | None, typer.Argument(help="A sentence to search for.")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to search with.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10,
    target: Annotated[
        Target | None, typer.Option(help="Search among these; else the other modality.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of hits.")] = False,
) -> None:
    """Searches the gallery of a model by a sentence or by a picture.

    Example: `cmr search runs/pascal "two men on a motorbike" -k 5`
    """
    from cmr_hub.loading import load

    hits: list[Hit] = load(model_name).search(
        text, image=image, k=k, target=None if target is None else target.value
    )
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits], indent=2, default=str))
        return
    table = Table("rank", "score", "label", "id", "sentence", "path")
    for hit in hits:
        sentence = hit.sentences[0] if hit.sentences else ""
        table.add_row(
            str(hit.rank), f"{hit.score:.3f}", hit.label, hit.id, sentence, str(hit.path or "")
        )
    console.print(table)


def demo(
    model: ModelName = "default",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="The port; by default the first free.")] = None,
) -> None:
    """Serves a page that searches the gallery of a model; prints its address.

    Without a model, of the one that comes with the package.

    Example: `cmr demo runs/pascal`
    """
    from cmr_hub.apps.search_page import launch

    launch(model, host=host, port=port)
