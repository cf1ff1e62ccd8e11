"""`cmr card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.options import console


def card(
    directory: Annotated[
        str, typer.Argument(help="A model directory, or a release: photos or sketch.")
    ],
    repo: Annotated[
        str | None, typer.Option(help="The repository on the Hub that it is for, user/name.")
    ] = None,
    results: Annotated[
        Path, typer.Option(help="The folder of results, with the other seeds of the same run.")
    ] = Path("results"),
) -> None:
    """Writes the model card README.md, with figures of the model's own record, and its pictures.

    Example: `cmr card runs/pascal --repo user/cmr-pascal`
    """
    from cmr_hub.hub.card import write_card
    from cmr_hub.releases import is_release, release_directory

    where = release_directory(directory) if is_release(directory) else Path(directory)
    written = write_card(where, load_name=repo, results=results)
    console.print(f"Wrote {written}", soft_wrap=True)
