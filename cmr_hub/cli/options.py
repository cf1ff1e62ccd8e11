"""Options and the console that all commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cmr_hub.cli.terminal import Terminal
from cmr_hub.errors import CMRError, shown

# Sentences and paths are shown as they are: `[b]` in one is no markup, nor is ESC an order.
console = Terminal(markup=False, emoji=False)

Root = Annotated[
    Path | None,
    typer.Option(help="The dataset's folder; by default the one of its name in $CMR_DATA_HOME."),
]
Protocol = Annotated[
    str | None, typer.Option(help="How to split it, e.g. 800/200, 800/100/100, random-7.")
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Where image features are kept; by default $CMR_CACHE_HOME."),
]
TextOptions = Annotated[
    list[str] | None,
    typer.Option(help="An option of the text encoder as name=value; may be repeated."),
]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
Threads = Annotated[int, typer.Option(min=1, help="Of the processor; no more than are free.")]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model directory, as `cmr train --out` writes it; photos or sketch, which come with "
        "the package; a short name that `cmr models` lists, such as siglip2; or a repository "
        "on the Hub, user/name or user/name@revision: of a model of this library, or of a dual "
        "encoder such as CLIP.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="A model directory; photos (the default) or sketch, which come with the package; a "
        "short name that `cmr models` lists, such as siglip2; or a repository on the Hub, "
        "user/name or user/name@revision: of a model of this library, or of a dual encoder such "
        "as CLIP."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Run the encoders on this device: cpu, cuda, cuda:1, mps; auto is the first "
        "accelerator, else the CPU."
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="What runs the encoders: torch; or on the CPU onnx (ONNX Runtime) or openvino, for "
        "which a network is exported once. auto is onnx for encoders that are much faster with it, "
        "unless there is an accelerator."
    ),
]
Int8 = Annotated[
    bool,
    typer.Option(
        "--int8",
        help="Run them with 8-bit weights, with onnx or openvino: faster, a little less exact. "
        "A gallery made so can only be searched so.",
    ),
]
AllowDownload = Annotated[
    bool,
    typer.Option(
        "--allow-download",
        help="Fetch what the gallery or the model itself names, such as its encoder, if it is not "
        "on this machine. Without it only what you name is fetched.",
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        help="Answer to this name too, e.g. the one that a reverse proxy is known by; may be "
        "repeated. Requests for any other name but --host and this machine's own are refused."
    ),
]


def named_options(pairs: list[str] | None) -> dict[str, Any]:
    """`name=value` strings; a value is read as JSON where it is: `min_df=2`, `stop_words=null`."""
    options: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise CMRError(f"--text-option wants name=value, not {shown(pair)}")
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options
