"""Define the options and the console that all commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cmr_hub.cli.terminal import Terminal
from cmr_hub.errors import CMRError, shown

# Sentences and paths are printed literally: `[b]` is not markup, and control characters are
# escaped.
console = Terminal(markup=False, emoji=False)


def say(text: str) -> None:
    """Print text without colours and without wrapping, so that paths can be copied."""
    console.print(text, highlight=False, soft_wrap=True)


GalleryName = Annotated[
    str, typer.Argument(help="Directory of the gallery, or http://HOST:PORT/COLLECTION in Milvus.")
]

Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the dataset. Default: $CMR_DATA_HOME/NAME."),
]
Protocol = Annotated[
    str | None, typer.Option(help="Protocol, e.g. 800/200, 800/100/100, random-7.")
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder of cached features. Default: $CMR_CACHE_HOME."),
]
TextOptions = Annotated[
    list[str] | None,
    typer.Option(help="Option of the text encoder as name=value. Can be repeated."),
]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
Threads = Annotated[int, typer.Option(min=1, help="Number of CPU threads.")]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Model directory; photos or sketch, which are included; a short name from "
        "`cmr models`, such as siglip2; or a repository on the Hub, user/name or "
        "user/name@revision.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="Model directory; photos (the default) or sketch, which are included; a short name "
        "from `cmr models`, such as siglip2; or a repository on the Hub, user/name or "
        "user/name@revision."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Device of the encoders: cpu, cuda, cuda:1, mps. auto uses the first accelerator, "
        "otherwise the CPU."
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="Runtime of the encoders: torch, onnx (ONNX Runtime) or openvino; the last two run "
        "on the CPU and export each network once. Without an accelerator, auto uses onnx for "
        "encoders that are much faster with it."
    ),
]
Int8 = Annotated[
    bool,
    typer.Option(
        "--int8",
        help="With onnx or openvino: use 8-bit weights, which are faster and slightly less exact. "
        "A gallery made with --int8 can only be searched with --int8.",
    ),
]
AllowDownload = Annotated[
    bool,
    typer.Option(
        "--allow-download",
        help="Download missing models that a gallery or model refers to. Otherwise, only models "
        "that are given by name are downloaded.",
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        help="Also accept requests for this host name, e.g. of a reverse proxy. Can be repeated. "
        "Names other than --host and localhost are refused."
    ),
]


def named_options(pairs: list[str] | None) -> dict[str, Any]:
    """Parse `name=value` options, with JSON values if possible: `min_df=2`, `stop_words=null`."""
    options: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise CMRError(f"--text-option needs name=value, not {shown(pair)}")
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options
