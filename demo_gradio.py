"""Serve the search page: `python demo_gradio.py [MODEL]`; the default model is `photos`."""

from __future__ import annotations

from typing import Annotated

import typer

from cmr_hub.errors import CMRError


def main(
    model: Annotated[
        str | None,
        typer.Argument(help="Model directory, or the name of an included model: photos or sketch."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port. Default: first free port.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Model for the Compare tab. Can be repeated.")
    ] = None,
    mcp: Annotated[bool, typer.Option(help="Also serve MCP tools.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Additional host name to accept. Can be repeated."),
    ] = None,
) -> None:
    """Serve the search page of a model."""
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
