"""The search page: `python demo_gradio.py [MODEL]`; without a model, of `photos`."""

from __future__ import annotations

from typing import Annotated

import typer

from cmr_hub.errors import CMRError


def main(
    model: Annotated[
        str | None,
        typer.Argument(help="A directory as `cmr train --out` writes it, photos or sketch."),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default the first free one.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Another model to be asked the same beside it.")
    ] = None,
    mcp: Annotated[bool, typer.Option(help="Be an MCP server too.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name that the page is known by, e.g. a reverse proxy's."),
    ] = None,
) -> None:
    """Serves the search page of a model."""
    try:
        from cmr_hub.apps.search_page import launch

        launch(
            model,
            compare=compare or (),
            host=host,
            port=port,
            mcp=mcp,
            allow_hosts=allow_host or (),
        )
    except CMRError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
