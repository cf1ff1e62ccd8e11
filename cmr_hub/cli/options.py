"""Options and the console that all commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# Sentences and paths are shown as they are: `[b]` in one is no markup.
console = Console(markup=False, emoji=False)

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
ModelDirectory = Annotated[
    Path, typer.Argument(help="A model directory, as `cmr train --out` writes it.")
]
