"""Define the command line `cmr`."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler

from cmr_hub.cli.dashboard import dashboard
from cmr_hub.cli.data import data
from cmr_hub.cli.doctor import doctor
from cmr_hub.cli.evaluate import evaluate
from cmr_hub.cli.gallery import app as gallery
from cmr_hub.cli.index import index
from cmr_hub.cli.label import label
from cmr_hub.cli.models import models
from cmr_hub.cli.publish import publish, space
from cmr_hub.cli.search import demo, search
from cmr_hub.cli.study import ablate, report
from cmr_hub.cli.terminal import Terminal
from cmr_hub.cli.train import train
from cmr_hub.errors import CMRError
from cmr_hub.version import __version__

app = typer.Typer(
    help=(
        "Find pictures by sentences and sentences by pictures.\n\n"
        "To search your own pictures: `cmr index ~/Pictures --out gallery`, then "
        '`cmr search gallery "a dog"` or `cmr demo --gallery gallery`. '
        "To train a model: `cmr data`, then `cmr train`."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
_TRAINING = (data, train, evaluate, ablate, report)
_SEARCHING = (models, index, label, search, demo, dashboard)
for command in (*_TRAINING, *_SEARCHING, publish, doctor):
    app.command()(command)
app.add_typer(gallery, name="gallery")
app.add_typer(space, name="space")


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"cmr-hub {__version__}")
        raise typer.Exit


_INTERRUPTED = 130  # typer's exit status after Ctrl-C


def main(commands: typer.Typer = app) -> None:
    """Run a command; print errors that a user can fix as one line without a traceback."""
    errors = Terminal(stderr=True, markup=False, emoji=False)
    logging.basicConfig(
        format="%(message)s",
        handlers=[RichHandler(console=errors, show_time=False, show_path=False)],
    )
    try:
        commands()
    except (CMRError, OSError, UnicodeEncodeError) as error:
        errors.print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        sys.exit(2)
    except SystemExit as exit_:
        if exit_.code == _INTERRUPTED:
            errors.print("stopped; finished work is kept")
        raise
