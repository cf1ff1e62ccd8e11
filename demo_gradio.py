"""The search page of a trained model: `python demo_gradio.py MODEL_DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.errors import CMRError, ModelFormatError


def main(
    directory: Annotated[
        Path, typer.Argument(metavar="MODEL_DIR", help="As `cmr train --out` writes it.")
    ],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default the first free one.")
    ] = None,
) -> None:
    """Serves the search page of a trained model."""
    try:
        if not directory.is_dir():
            raise ModelFormatError(
                f"there is no model directory {directory}. Train one, with the data under "
                "$CMR_DATA_HOME:\n"
                f"cmr train pascal-sentence --image-weights FILE --out {directory}"
            )
        from cmr_hub.apps.search_page import launch

        launch(directory, host=host, port=port)
    except CMRError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
